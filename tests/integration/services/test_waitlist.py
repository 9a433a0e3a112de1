"""The rules of `tests.unit.services.test_waitlist`."""

from tests.unit.services.test_waitlist import *  # noqa: F403
