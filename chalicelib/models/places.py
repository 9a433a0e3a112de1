"""The numbers of the places of a course: what became of each one. `place_counters` has how they are drawn."""

import contextlib
from collections.abc import Iterator
from enum import StrEnum

from pynamodb.attributes import UnicodeAttribute
from pynamodb.expressions.condition import Condition

from chalicelib.core import ids
from chalicelib.models import waitlist
from chalicelib.models.base import ConditionFailed, Extend, Table, TableMeta, Transaction, try_conditional
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import COUNTER, PlaceCounter

PLACE = "place"  # the label of the item in transactions
_NUMBER_WIDTH = 10
_MIN_PAGE_SIZE = 200  # of reads that skip rows: students between them can have left


class PlaceState(StrEnum):
    """What became of a number."""

    TAKEN = "taken"  # its student has a place
    WAITING = "waiting"  # its student waits for a place; if the number is settled, the student got one
    LEFT = "left"  # its student left before it was settled, or the request that drew it failed
    VOID = "void"  # no student has it: the settlement found no row


class Place(Table):
    """One number of a course."""

    class Meta(TableMeta):
        name = "places"

    course = UnicodeAttribute(hash_key=True)
    number_text = UnicodeAttribute(range_key=True, attr_name="number")  # of fixed width, so that it sorts as a number
    state = UnicodeAttribute()
    student = UnicodeAttribute(null=True)
    suffix = UnicodeAttribute(null=True)  # of the enrollment's ID
    since = UnicodeAttribute(null=True)  # when the student joined the waitlist (RFC 3339)

    @property
    def number(self) -> int:
        """The number that was drawn."""
        return int(self.number_text)

    @property
    def enrollment_id(self) -> str:
        """The ID of the waiting entry, which its enrollment will have."""
        return ids.enrollment_id(str(self.student), str(self.course), str(self.suffix))

    @classmethod
    def of(cls, enrollment: Enrollment) -> "Place":
        """Return the place of an enrollment or a waiting entry, not yet saved."""
        return cls(
            enrollment.course,
            number_to_text(enrollment.place_number),
            state=(PlaceState.WAITING if enrollment.is_waiting else PlaceState.TAKEN).value,
            student=enrollment.student,
            suffix=enrollment.suffix,
            since=enrollment.waiting_since,
        )

    @classmethod
    def between(cls, course: str, first: int, last: int) -> "dict[int, Place]":
        """Return the places from one number to another by their number, by consistent reads."""
        numbers = cls.number_text.between(number_to_text(first), number_to_text(last))
        return {place.number: place for place in cls.query(course, numbers, consistent_read=True)}

    @classmethod
    def page_of_waiting(cls, course: str, *, after: int, backward_from: int | None, limit: int) -> "list[Place]":
        """Return up to ``limit`` places of waiting students, by consistent reads.

        Those after a number, or in reverse order those between it and ``backward_from``.
        """
        numbers: Condition = cls.number_text > number_to_text(after)
        if backward_from is not None:
            if backward_from <= after + 1:
                return []
            numbers = cls.number_text.between(number_to_text(after + 1), number_to_text(backward_from - 1))
        rows = cls.query(
            course,
            numbers,
            cls.state == PlaceState.WAITING.value,
            scan_index_forward=backward_from is None,
            limit=limit,
            page_size=max(limit, _MIN_PAGE_SIZE),
            consistent_read=True,
        )
        return [*rows]

    @classmethod
    def count_waiting(cls, course: str, after: int, before: int) -> int:
        """Return how many wait with numbers between two others, by consistent reads."""
        if before <= after + 1:
            return 0
        numbers = cls.number_text.between(number_to_text(after + 1), number_to_text(before - 1))
        return cls.count(course, numbers, cls.state == PlaceState.WAITING.value, consistent_read=True)

    @classmethod
    def void(cls, course: str, number: int) -> bool:
        """Save that no student has a number, and return whether it had no row.

        A request that drew it and is late does not enroll by it afterwards, and draws another one.
        """
        row = cls(course, number_to_text(number), state=PlaceState.VOID.value)
        return try_conditional(lambda: row.save(condition=cls.course.does_not_exist()))

    def void_without_entry(self) -> None:
        """Save that no student has this number, whose entry does not exist, unless the student left by `delete`.

        A deletion of the course that failed halfway, or tables restored to different times, leave such a number.
        """
        is_waiting = (Place.state == PlaceState.WAITING.value) & (Place.suffix == self.suffix)
        row = Place(self.course, self.number_text, state=PlaceState.VOID.value)
        try_conditional(lambda: row.save(condition=is_waiting))

    def add_to(self, transaction: Transaction) -> None:
        """Save the place in the transaction that saves the enrollment, unless its number was declared void."""
        transaction.put(self, Place.course.does_not_exist(), label=PLACE)


def delete(enrollment: Enrollment, at: str, extend: Extend) -> bool:
    """Delete an enrollment or a waiting entry, and give its place to the next student, in one transaction.

    Return False if it was deleted, or turned into an enrollment, since it was read. ``extend`` adds items to the
    transaction.

    Raises:
        ConditionFailed: The condition of an item of ``extend`` failed.
    """
    while True:
        transaction = Transaction()
        extend(transaction)
        enrollment.add_deletion(transaction, at)
        _add_departure(enrollment, transaction)
        try:
            transaction.run()
            return True
        except ConditionFailed as error:
            if enrollment.id in error.failed:
                return False
            if COUNTER not in error.failed:
                raise  # otherwise the number was settled, or the counters deleted, neither of which happens twice


def give_back(course: str, number: int) -> None:
    """Count a number as left that no request has used, in one transaction, so that it takes no room of the waitlist.

    It has no effect if the number has a row. A late request does not enroll by it, and draws another one.
    """
    transaction = Transaction()
    transaction.put(Place(course, number_to_text(number), state=PlaceState.LEFT.value), Place.course.does_not_exist())
    PlaceCounter.add_departure(transaction, course, number, is_settled=False)
    with contextlib.suppress(ConditionFailed):
        transaction.run()


def _add_departure(enrollment: Enrollment, transaction: Transaction) -> None:
    number, counter = int(enrollment.place_number), PlaceCounter.find(enrollment.course)
    row = Place(enrollment.course, number_to_text(number), state=PlaceState.LEFT.value)
    is_settled = counter is None or number <= counter.settled
    if is_settled:
        transaction.delete(row)
    else:
        transaction.put(row)
    if counter:  # otherwise the course was deleted
        PlaceCounter.add_departure(transaction, enrollment.course, number, is_settled=is_settled)


def delete_all_of_course(course: str) -> Iterator[int]:
    """Delete the places of a deleted course with its waiting entries, and yield the number of rows at each step."""
    PlaceCounter(course).delete()  # first: from then on, no student joins
    with Place.batch_write() as batch:
        for place in Place.query(course, consistent_read=True):
            if place.state == PlaceState.WAITING.value:
                waitlist.delete_entry(place.student, course, place.suffix)
            batch.delete(place)
            yield 1


def number_to_text(number: float) -> str:
    """Return a number as text of fixed width."""
    return f"{int(number):0{_NUMBER_WIDTH}d}"
