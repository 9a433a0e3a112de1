"""The rules of `tests.unit.services.test_places`."""

from tests.unit.services.test_places import *  # noqa: F403
