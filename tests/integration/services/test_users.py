"""The rules of `tests.unit.services.test_users`."""

from tests.unit.services.test_users import *  # noqa: F403
