"""Rate limits: conditional writes, alone and in transactions, including concurrent ones."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.models.base import ConditionFailed, Transaction
from chalicelib.models.throttles import Quota, Reservation, Throttle

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


def test_reservation_at_its_limit_or_after_its_window_is_refused() -> None:
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


def test_event_beyond_the_limit_is_counted_in_its_window() -> None:
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


def test_attempt_of_an_old_window_is_not_counted_in_a_new_one() -> None:
    old = Throttle.reserve(Quota("s", 3, 900), 1000)
    assert old == Reservation("s", 1900, is_only_event=True)
    stale = Throttle.find("s")
    assert stale is not None
    stale.delete_expired()
    new = Throttle.reserve(Quota("s", 3, 900), 2000)
    assert new == Reservation("s", 2900, is_only_event=True)

    Throttle.settle(old, succeeded=False)
    Throttle.settle(old, succeeded=True)
    stale.delete_expired()

    row = Throttle.find("s")
    assert row is not None
    assert (row.reserved, row.failed, row.expires_at) == (1, 0, 2900)


def test_abandoned_attempts_are_released_unless_another_began() -> None:
    for now in (1000, 1001, 1002):
        Throttle.reserve(Quota("s", 3, 900), now)
    Throttle.settle(Reservation("s", 1900), succeeded=False)
    read = Throttle.find("s")
    assert read is not None and (read.reserved, read.failed, read.reserved_at) == (3, 1, 1002)

    Throttle.settle(Reservation("s", 1900), succeeded=True)
    Throttle.reserve(Quota("s", 3, 900), 1040)
    read.release_abandoned()
    row = Throttle.find("s")
    assert row is not None and row.reserved == 3, "the last attempt is in progress"

    row.release_abandoned()
    row = Throttle.find("s")
    assert row is not None and (row.reserved, row.failed) == (1, 1)


def test_reservations_are_limited_within_their_window() -> None:
    def reserve(now: int) -> Reservation | Throttle:
        return Throttle.reserve(Quota("s", 2, 900), now)

    assert [reserve(1000), reserve(1898)] == [Reservation("s", 1900, is_only_event=True), Reservation("s", 1900)]
    window = reserve(1899)
    assert isinstance(window, Throttle)
    assert (window.subject, window.reserved, window.failed, window.reserved_at) == ("s", 2, 0, 1898)
    Throttle.settle(Reservation("s", 1900), succeeded=True)
    assert isinstance(reserve(1899), Reservation)
    Throttle.settle(Reservation("s", 1900), succeeded=False)
    window = reserve(1899)
    assert isinstance(window, Throttle)
    assert (window.reserved, window.failed, window.expires_at) == (2, 1, 1900)
    assert reserve(1900) == Reservation("s", 2800, is_only_event=True), "a new window"
    row = Throttle.find("s")
    assert row is not None
    assert (row.reserved, row.failed, row.reserved_at) == (1, 0, 1900)


def test_only_one_of_two_attempts_starts_a_new_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read that the last one is over."""
    quota = Quota("s", 2, 900)
    Throttle.reserve(quota, 1000)
    update, others = Throttle.update, [lambda: Throttle.reserve(quota, 1900)]

    def update_after_another(row: Throttle, *arguments: Any, **named: Any) -> Any:
        if others:
            others.pop()()
        return update(row, *arguments, **named)

    monkeypatch.setattr(Throttle, "update", update_after_another)

    assert Throttle.reserve(quota, 1901) == Reservation("s", 2800)
    row = Throttle.find("s")
    assert row is not None and row.reserved == 2


def test_released_attempt_leaves_the_failures_of_others() -> None:
    quota = Quota("s", 10, 900)
    first, second = Throttle.reserve(quota, 1_000), Throttle.reserve(quota, 1_001)
    assert isinstance(first, Reservation) and isinstance(second, Reservation)

    Throttle.settle(second, succeeded=False)
    Throttle.settle(first, succeeded=True)

    row = Throttle.find("s")
    assert row is not None and (row.reserved, row.failed, row.expires_at) == (1, 1, 1_900)


def test_released_attempt_without_others_deletes_its_window() -> None:
    reservation = Throttle.reserve(Quota("s", 10, 900), 1_000)
    assert isinstance(reservation, Reservation)

    Throttle.settle(reservation, succeeded=True)

    assert Throttle.find("s") is None
