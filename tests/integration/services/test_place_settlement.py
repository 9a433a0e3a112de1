"""The rules of `tests.unit.services.test_place_settlement`."""

from tests.unit.services.test_place_settlement import *  # noqa: F403
