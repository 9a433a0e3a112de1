"""The counters of the places of courses with a capacity.

Students draw the next number of a course. Numbers up to a limit have a place, the next ones wait for one. The limit is
the capacity and the number of places that were freed, each of which is counted once: by the transaction in which a
student leaves, or by the settlement that passes the number. So never more than the capacity are enrolled, whatever
fails in between. docs/decisions.md has the protocol.
"""

from typing import NamedTuple

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.models.base import Table, TableMeta, Transaction, try_conditional

UNLIMITED = 1_000_000_000  # the capacity of a course from which it was removed
COUNTER = "place counter"  # the label of the item in transactions


class Places(NamedTuple):
    """How many places a course has, and how many students wait for one; None each without a capacity."""

    capacity: int | None = None
    taken: int | None = None
    left: int | None = None
    waiting: int | None = None


class PlaceCounter(Table):
    """The counters of one course."""

    class Meta(TableMeta):
        name = "place-counters"

    course = UnicodeAttribute(hash_key=True)
    drawn = NumberAttribute(default=0)  # the last number that was drawn
    limit = NumberAttribute()  # numbers up to this have a place: the capacity, and `freed`
    last = NumberAttribute()  # numbers up to this may be drawn: the limit, the size of the waitlist, and `left`
    settled = NumberAttribute(default=0)  # numbers up to this are settled: each is of an enrollment, or counted as free
    freed = NumberAttribute(default=0)  # settled numbers without an enrollment
    left = NumberAttribute(default=0)  # numbers that are not settled, and whose students left
    checked = NumberAttribute(default=0)  # numbers after `settled` up to this have rows

    @property
    def places(self) -> Places:
        """The places of the course. A number whose request failed counts as a student until it is settled."""
        capacity, students = int(self.limit - self.freed), int(self.drawn - self.freed - self.left)
        if capacity >= UNLIMITED:
            return Places()
        taken = min(capacity, students)
        return Places(capacity, taken, capacity - taken, students - taken)

    @property
    def unsettled_end(self) -> int:
        """The last number that can be settled."""
        return int(min(self.drawn, self.limit))

    @property
    def unchecked_start(self) -> int:
        """The first number that is not settled, and can be without a row."""
        return int(max(self.settled, self.checked)) + 1

    def estimated_position(self, number: int) -> int:
        """Return the position in the waitlist of the student with a number, as if all who left were before it."""
        return max(1, int(number - self.limit - self.left))

    @classmethod
    def new(cls, course: str, capacity: float, waitlist: float) -> "PlaceCounter":
        """Return the counters of a course in which no student is enrolled, not yet saved."""
        return cls(course, limit=capacity, last=capacity + waitlist)

    @classmethod
    def find(cls, course: str) -> "PlaceCounter | None":
        """Return the counters of a course, by a consistent read."""
        return cls.get_or_none(course)

    @classmethod
    def find_unsettled(cls) -> "list[str]":
        """Return the IDs of the courses with numbers to settle or to check.

        By a scan: a row of some 100 bytes for each course with a capacity is read. An index would have to be written
        by each enrollment.
        """
        is_unsettled = (cls.settled < cls.drawn) & ((cls.settled < cls.limit) | (cls.checked < cls.drawn))
        return [str(row.course) for row in cls.scan(is_unsettled)]

    @classmethod
    def draw(cls, course: str, *, can_wait: bool) -> "PlaceCounter | None":
        """Draw the next number, and return the counters after that; None if no place is left, and none to wait for.

        DynamoDB queues such updates of one item instead of cancelling them, as it does for transactions.
        """
        row = cls(course)
        is_left = cls.drawn < (cls.last if can_wait else cls.limit)
        return row if try_conditional(lambda: row.update([cls.drawn.add(1)], condition=is_left)) else None

    def settle(self, end: int, freed: int, left: int) -> bool:
        """Record that numbers up to ``end`` are settled: no student has ``freed`` of them, and ``left`` had students.

        Return False if other numbers were settled or students left since the counters were read.
        """
        unchanged = (PlaceCounter.settled == self.settled) & (PlaceCounter.left == self.left)
        actions: list[Action] = [
            PlaceCounter.settled.set(end),
            PlaceCounter.freed.add(freed),
            PlaceCounter.limit.add(freed),
            PlaceCounter.last.add(freed - left),
            PlaceCounter.left.add(-left),
        ]
        return try_conditional(lambda: self.update(actions, condition=unchanged))

    def add_to(self, transaction: Transaction) -> None:
        """Save the counters of a course that has none, in a transaction."""
        transaction.put(self, PlaceCounter.course.does_not_exist())

    def mark_checked(self, end: int) -> None:
        """Record that the numbers up to ``end`` that are not settled have rows, unless later ones are checked."""
        try_conditional(lambda: self.update([PlaceCounter.checked.set(end)], condition=PlaceCounter.checked < end))

    @classmethod
    def add_departure(cls, transaction: Transaction, course: str, number: int, *, is_settled: bool) -> None:
        """Count in a transaction that the student with a number leaves.

        The condition is that the number is settled, if it ``is_settled``, or is not.
        """
        actions: list[Action] = [cls.last.add(1)]
        actions += [cls.freed.add(1), cls.limit.add(1)] if is_settled else [cls.left.add(1)]
        condition = cls.settled >= number if is_settled else cls.settled < number
        transaction.update(cls(course), actions, condition, label=COUNTER)


class Resize:
    """A change of a course's capacity and size of the waitlist, relative to those before."""

    def __init__(self, counter: PlaceCounter, capacity: int, waitlist: int) -> None:
        self._counter, self._capacity, self._waitlist = counter, capacity, waitlist

    @property
    def is_possible(self) -> bool:
        """Whether all who drew a number have a place afterwards, if the capacity decreases."""
        return self._capacity >= 0 or self._counter.drawn <= self._counter.limit + self._capacity

    def add_to(self, transaction: Transaction) -> None:
        """Add the change to the transaction that changes the course."""
        condition: Condition = PlaceCounter.course.exists()
        if self._capacity < 0:
            smaller = self._counter.limit + self._capacity
            condition = (PlaceCounter.limit == self._counter.limit) & (PlaceCounter.drawn <= smaller)
        actions = [PlaceCounter.limit.add(self._capacity), PlaceCounter.last.add(self._capacity + self._waitlist)]
        transaction.update(PlaceCounter(self._counter.course), actions, condition, label=COUNTER)
