"""Throttles: how many attempts somebody or some address made in the window at work."""

from dataclasses import dataclass

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from chalicelib.models.base import Table, held, table_name


@dataclass(frozen=True)
class Taken:
    """One attempt that was taken, and the window that it counts in."""

    subject: str
    expires_at: int


class Throttle(Table):
    """The window of one subject: an account or an address. It begins with the first attempt."""

    class Meta:
        table_name = table_name("throttles")

    subject = UnicodeAttribute(hash_key=True)
    taken = NumberAttribute()
    """Attempts that failed, and those at work."""
    failed = NumberAttribute()
    expires_at = NumberAttribute()
    """Unix seconds; the end of the window, and the table's TTL."""

    @classmethod
    def take(cls, subject: str, *, limit: int, now: int, window: int) -> Taken | None:
        """Take one of the window's attempts, in one conditional write; None when none is free, or the window is over.

        ``now`` is in Unix seconds, ``window`` in seconds.
        """
        row = cls(subject)
        actions: list[Action] = [
            cls.taken.set((cls.taken | 0) + 1),
            cls.failed.set(cls.failed | 0),
            cls.expires_at.set(cls.expires_at | (now + window)),
        ]
        free = cls.subject.does_not_exist() | ((cls.expires_at > now) & (cls.taken < limit))
        return Taken(subject, int(row.expires_at)) if held(lambda: row.update(actions, condition=free)) else None

    @classmethod
    def find(cls, subject: str) -> "Throttle | None":
        """The window of a subject, read consistently."""
        return cls.row(subject)

    def forget(self) -> None:
        """Delete a window that is over, unless a new one has begun."""
        held(lambda: self.delete(condition=Throttle.expires_at == self.expires_at))

    @classmethod
    def settle(cls, taken: Taken, *, good: bool) -> None:
        """Note how an attempt ended: a good one is given back. Nothing when its window is over."""
        action = cls.taken.set(cls.taken - 1) if good else cls.failed.set(cls.failed + 1)
        same = cls.expires_at == taken.expires_at
        held(lambda: cls(taken.subject).update([action], condition=same))
