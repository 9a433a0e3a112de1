"""Waiting entries: rows of enrollments that are in no index until their student gets a place."""

from typing import NamedTuple

from pynamodb.expressions.update import Action

from chalicelib.core import ids
from chalicelib.models.base import ConditionFailed, Extend, Transaction, try_conditional
from chalicelib.models.enrollments import Enrollment

_ENTRY = "entry"  # the label of the item in transactions
_PAGE_SIZE = 1000  # of a student's enrollments, among which the entries are


class WaitlistEntry(NamedTuple):
    """A student who waits for a place in a course. The enrollment will have the same ID."""

    id: str
    course: str
    student: str
    position: int  # from 1
    joined_at: str
    sort_key: str  # in a list of entries

    @classmethod
    def of(cls, row: Enrollment, position: int) -> "WaitlistEntry":
        """Return the entry of a row that waits."""
        return cls(row.id, row.course, row.student, position, str(row.waiting_since), row.course)


def new_entry(
    student: str, course: str, since: str, request_id: str, place_number: int, suffix: str | None = None
) -> Enrollment:
    """Return the entry of a student who waits for a place, not yet saved."""
    suffix = suffix or ids.new_suffix()
    return Enrollment(
        student, course, suffix=suffix, request_id=request_id, place_number=place_number, waiting_since=since
    )


def entries_of_student(student: str, *, after: str | None, backward: bool, limit: int) -> list[Enrollment]:
    """Return up to ``limit`` waiting entries of a student, sorted by course, after a course; by consistent reads."""
    courses = None
    if after is not None:
        courses = Enrollment.course < after if backward else Enrollment.course > after
    rows = Enrollment.query(
        student,
        courses,
        Enrollment.sort_key.does_not_exist(),
        scan_index_forward=not backward,
        limit=limit,
        page_size=_PAGE_SIZE,
        consistent_read=True,
    )
    return [*rows]


class NotAdmitted(ConditionFailed):
    """The condition of an item that `admit` was given failed: the student may not enroll any more."""


def admit(student: str, course: str, suffix: str, at: str, extend: Extend) -> Enrollment | None:
    """Turn a waiting entry into an enrollment with a pending email, and return it; None if it does not exist.

    It is done once, however often it is called. ``extend`` adds conditions to the transaction.

    Raises:
        NotAdmitted: A condition of ``extend`` failed.
    """
    new = Enrollment.new(student, course, at, "", suffix)
    actions: list[Action] = [
        Enrollment.sort_key.set(new.sort_key),
        Enrollment.shard.set(new.shard),
        Enrollment.course_shard.set(new.course_shard),
        Enrollment.email_pending.set(new.email_pending),
    ]
    transaction = Transaction()
    extend(transaction)
    is_waiting = (Enrollment.suffix == suffix) & Enrollment.sort_key.does_not_exist()
    transaction.update(Enrollment(student, course), actions, is_waiting, label=_ENTRY)
    try:
        transaction.run()
    except ConditionFailed as error:
        if _ENTRY not in error.failed:
            raise NotAdmitted(error.failed) from error
    existing = Enrollment.find_by_student_and_course(student, course)
    return existing if existing and existing.suffix == suffix else None


def delete_entry(student: str, course: str, suffix: str) -> None:
    """Delete a waiting entry, unless its student got a place or left."""
    is_waiting = (Enrollment.suffix == suffix) & Enrollment.sort_key.does_not_exist()
    try_conditional(lambda: Enrollment(student, course).delete(condition=is_waiting))
