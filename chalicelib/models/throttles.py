"""Throttles: the number of password attempts of an account or address in the current window (rate limit)."""

from dataclasses import dataclass

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from chalicelib.models.base import Table, TableMeta, try_conditional


@dataclass(frozen=True)
class Reservation:
    """One reserved attempt, and the window in which it counts."""

    subject: str
    expires_at: int


class Throttle(Table):
    """The window of one subject: an account or an address. It starts with the first attempt."""

    class Meta(TableMeta):
        name = "throttles"

    subject = UnicodeAttribute(hash_key=True)
    reserved = NumberAttribute()  # attempts that failed or are in progress
    failed = NumberAttribute()
    reserved_at = NumberAttribute(default=0)  # Unix seconds; the last reservation
    expires_at = NumberAttribute()  # Unix seconds; the end of the window, and the table's TTL

    @classmethod
    def find(cls, subject: str) -> "Throttle | None":
        """Return the window of a subject, by a consistent read."""
        return cls.get_or_none(subject)

    @classmethod
    def reserve(cls, subject: str, *, limit: int, now: int, window: int) -> Reservation | None:
        """Reserve an attempt by one conditional write; return None if none is left or the window is over.

        ``now`` is in Unix seconds, ``window`` in seconds.
        """
        row = cls(subject)
        actions: list[Action] = [
            cls.reserved.set((cls.reserved | 0) + 1),
            cls.failed.set(cls.failed | 0),
            cls.reserved_at.set(now),
            cls.expires_at.set(cls.expires_at | (now + window)),
        ]
        is_free = cls.subject.does_not_exist() | ((cls.expires_at > now) & (cls.reserved < limit))
        if not try_conditional(lambda: row.update(actions, condition=is_free)):
            return None
        return Reservation(subject, int(row.expires_at))

    @classmethod
    def settle(cls, reservation: Reservation, *, succeeded: bool) -> None:
        """Record the result of an attempt: a successful one is released. Do nothing if its window is over."""
        action = cls.reserved.set(cls.reserved - 1) if succeeded else cls.failed.set(cls.failed + 1)
        is_same_window = cls.expires_at == reservation.expires_at
        try_conditional(lambda: cls(reservation.subject).update([action], condition=is_same_window))

    def release_abandoned(self) -> None:
        """Release all attempts in progress, unless another one has been reserved since this row was read."""
        unchanged = (Throttle.reserved_at == self.reserved_at) & (Throttle.failed == self.failed)
        try_conditional(lambda: self.update([Throttle.reserved.set(Throttle.failed)], condition=unchanged))

    def delete_expired(self) -> None:
        """Delete a window that is over, unless a new one has started."""
        try_conditional(lambda: self.delete(condition=Throttle.expires_at == self.expires_at))
