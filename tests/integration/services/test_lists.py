"""The rules of `tests.unit.services.test_lists`."""

from tests.unit.services.test_lists import *  # noqa: F403
