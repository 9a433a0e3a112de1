"""The rules of `tests.unit.services.test_withdrawals`."""

from tests.unit.services.test_withdrawals import *  # noqa: F403
