"""Events that are counted, or checked, in the transaction of what they count."""

from collections.abc import Callable

import pytest

from chalicelib.models.base import ConditionFailed, Transaction
from chalicelib.models.throttles import Quota, Throttle

QUOTA = Quota("s", 2, 900)
Add = Callable[[Transaction, Quota, int], None]

pytestmark = pytest.mark.usefixtures("aws")


def is_carried_out(add: Add, now: int) -> bool:
    """Return whether the transaction is carried out. One that is not names the quota."""
    transaction = Transaction()
    add(transaction, QUOTA, now)
    try:
        transaction.run()
    except ConditionFailed as error:
        assert error.failed == {QUOTA}
        return False
    return True


def window() -> tuple[float, float, float, float]:
    row = Throttle.find("s")
    assert row is not None
    return row.reserved, row.failed, row.reserved_at, row.expires_at


def test_reservation_is_refused_at_its_limit_and_after_its_window() -> None:
    assert is_carried_out(Throttle.add_reservation, 1000)
    assert is_carried_out(Throttle.add_reservation, 1899)
    assert window() == (2, 0, 1899, 1900)

    assert not is_carried_out(Throttle.add_reservation, 1899)
    assert not is_carried_out(Throttle.add_reservation, 1900)
    assert window() == (2, 0, 1899, 1900)


def test_window_is_started_once_the_last_one_is_over() -> None:
    assert not is_carried_out(Throttle.add_start, 1000), "there is no last one"
    assert is_carried_out(Throttle.add_reservation, 1000)

    assert not is_carried_out(Throttle.add_start, 1899)
    assert is_carried_out(Throttle.add_start, 1900)

    assert window() == (1, 0, 1900, 2800)


def test_event_is_counted_beyond_the_limit_until_its_window_is_over() -> None:
    assert all(is_carried_out(Throttle.add_event, now) for now in (1000, 1001, 1899))

    assert not is_carried_out(Throttle.add_event, 1900)

    assert window() == (3, 0, 1899, 1900)


def test_check_fails_at_the_limit_until_the_window_is_over() -> None:
    assert is_carried_out(Throttle.add_check, 1000)
    assert Throttle.find("s") is None, "it counts nothing"
    assert is_carried_out(Throttle.add_event, 1000)
    assert is_carried_out(Throttle.add_check, 1000)
    assert is_carried_out(Throttle.add_event, 1000)

    assert not is_carried_out(Throttle.add_check, 1899)
    assert is_carried_out(Throttle.add_check, 1900)
