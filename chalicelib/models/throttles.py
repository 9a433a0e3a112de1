"""Throttles: the number of rate-limited events of a subject in its current window."""

from collections.abc import Iterable
from typing import NamedTuple

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.models.base import (
    ConditionFailed,
    Extend,
    StaleRead,
    Table,
    TableMeta,
    Transaction,
    add_nothing,
    try_conditional,
    update_or_get,
)

_MAX_DELETE_BATCH_SIZE = 99  # a transaction has at most 100 items: windows, and one that is added


class Quota(NamedTuple):
    """How many events a subject has in a window. A window starts with its first event."""

    subject: str
    limit: int
    window: int  # seconds


class Reservation(NamedTuple):
    """One reserved password attempt, and the window in which it counts."""

    subject: str
    expires_at: int
    is_only_event: bool = False  # when it was made


class Throttle(Table):
    """The window of one subject, such as an account or an address. Times are in Unix seconds."""

    class Meta(TableMeta):
        name = "throttles"

    subject = UnicodeAttribute(hash_key=True)
    reserved = NumberAttribute()  # events; of passwords, attempts that failed or are in progress
    failed = NumberAttribute(default=0)
    reserved_at = NumberAttribute(default=0)  # the last reservation
    expires_at = NumberAttribute()  # the end of the window, and the table's TTL

    @classmethod
    def find(cls, subject: str) -> "Throttle | None":
        """Return the window of a subject, by a consistent read."""
        return cls.get_or_none(subject)

    @classmethod
    def find_all(cls, subjects: Iterable[str]) -> "dict[str, Throttle]":
        """Return the windows of those of the subjects that have one, by subject; by consistent reads."""
        return {str(row.subject): row for row in cls.batch_get([*subjects], consistent_read=True)}

    @classmethod
    def reserve(cls, quota: Quota, now: int) -> "Reservation | Throttle":
        """Count an event, or return the window in which none is left.

        That is one conditional write, and a second one if the last window is over.
        """
        row = cls(quota.subject)
        while (window := update_or_get(row, _count(quota, now), _is_left(quota, now))) is not None:
            if window.expires_at > now:
                return window
            if try_conditional(lambda: row.update(_start(quota, now), condition=_is_over(now))):
                break
        return Reservation(quota.subject, int(row.expires_at), (row.reserved, row.failed) == (1, 0))

    @classmethod
    def add_reservation(cls, transaction: Transaction, quota: Quota, now: int) -> None:
        """Count an event in a transaction; its condition has the quota as its label."""
        transaction.update(cls(quota.subject), _count(quota, now), _is_left(quota, now), label=quota)

    @classmethod
    def add_start(cls, transaction: Transaction, quota: Quota, now: int) -> None:
        """Count an event as the first of a new window in a transaction; the condition is that the last one is over."""
        transaction.update(cls(quota.subject), _start(quota, now), _is_over(now), label=quota)

    @classmethod
    def add_event(cls, transaction: Transaction, quota: Quota, now: int) -> None:
        """Count an event in a transaction, however many there are; the condition is that the window is not over."""
        is_current = cls.subject.does_not_exist() | (cls.expires_at > now)
        transaction.update(cls(quota.subject), _count(quota, now), is_current, label=quota)

    @classmethod
    def add_check(cls, transaction: Transaction, quota: Quota, now: int) -> None:
        """Add the condition that the quota is not used up, without counting; its label is the quota."""
        is_over = cls.subject.does_not_exist() | (cls.expires_at <= now)
        transaction.check(cls, quota.subject, is_over | (cls.reserved < quota.limit), label=quota)

    @classmethod
    def settle(cls, reservation: Reservation, *, succeeded: bool) -> None:
        """Record the result of an attempt: a successful one is released. Do nothing if its window is over.

        A window without another event is deleted: at the next login it would be over, and cost a second write.
        """
        row, is_same_window = cls(reservation.subject), cls.expires_at == reservation.expires_at
        if succeeded and reservation.is_only_event:
            is_only_event = is_same_window & (cls.reserved == 1) & (cls.failed == 0)
            if try_conditional(lambda: row.delete(condition=is_only_event)):
                return
        action = cls.reserved.set(cls.reserved - 1) if succeeded else cls.failed.set(cls.failed + 1)
        try_conditional(lambda: row.update([action], condition=is_same_window))

    @classmethod
    def delete_all(cls, subjects: Iterable[str], extend: Extend = add_nothing) -> int:
        """Delete the windows of subjects, and return how many there were.

        ``extend`` adds an item to the transaction that deletes them, if there are any. Those that are too many for a
        transaction are deleted after it.

        Raises:
            StaleRead: A window was deleted after it was read. Nothing was deleted.
        """
        windows = [*cls.find_all(subjects).values()]
        if not windows:
            return 0
        transaction = Transaction()
        extend(transaction)
        for window in windows[:_MAX_DELETE_BATCH_SIZE]:
            transaction.delete(window, cls.subject.exists())
        try:
            transaction.run()
        except ConditionFailed as error:
            raise StaleRead(error.failed) from error
        for window in windows[_MAX_DELETE_BATCH_SIZE:]:
            window.delete()
        return len(windows)

    def release_abandoned(self) -> None:
        """Release all attempts in progress, unless another one has been reserved since this row was read."""
        unchanged = (Throttle.reserved_at == self.reserved_at) & (Throttle.failed == self.failed)
        try_conditional(lambda: self.update([Throttle.reserved.set(Throttle.failed)], condition=unchanged))

    def delete_expired(self) -> None:
        """Delete a window that is over, unless a new one has started."""
        try_conditional(lambda: self.delete(condition=Throttle.expires_at == self.expires_at))


def _count(quota: Quota, now: int) -> list[Action]:
    return [
        Throttle.reserved.set((Throttle.reserved | 0) + 1),
        Throttle.failed.set(Throttle.failed | 0),
        Throttle.reserved_at.set(now),
        Throttle.expires_at.set(Throttle.expires_at | (now + quota.window)),
    ]


def _start(quota: Quota, now: int) -> list[Action]:
    return [
        Throttle.reserved.set(1),
        Throttle.failed.set(0),
        Throttle.reserved_at.set(now),
        Throttle.expires_at.set(now + quota.window),
    ]


def _is_over(now: int) -> Condition:
    condition: Condition = Throttle.expires_at <= now
    return condition


def _is_left(quota: Quota, now: int) -> Condition:
    is_current = (Throttle.expires_at > now) & (Throttle.reserved < quota.limit)
    condition: Condition = Throttle.subject.does_not_exist() | is_current
    return condition
