"""The rules of `tests.unit.services.test_capacity`."""

from tests.unit.services.test_capacity import *  # noqa: F403
