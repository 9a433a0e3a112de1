"""Enrollments: who is in which course."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice

from pynamodb.transactions import TransactWrite

from chalicelib.adapters import sqs
from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, Forbidden, Invalid, NotFound
from chalicelib.core.pagination import Page, PageRequest, turn_to
from chalicelib.core.roles import Role
from chalicelib.models import ledger
from chalicelib.models.base import ConditionFailed, transact
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.ledger import LedgerEntry
from chalicelib.observability import logs
from chalicelib.services import course_cache

Check = Callable[[TransactWrite], None]
"""Adds a condition to a transaction."""

_REMOVED_AT_ONCE = 33  # a transaction holds 100 items: three for each, and one condition


def enroll(caller: Caller, course_id: str, now: datetime | None = None) -> Enrollment:
    """Put the caller into a course, and an email to them on its way.

    The row itself says that an email is owed, so that none is lost when the queue is out of reach.

    Raises Forbidden for who is not a student, Invalid for a course that is not open, Conflict for
    who is in it already.
    """
    if caller.role is not Role.STUDENT:
        raise Forbidden("Only students enroll.")
    course = course_cache.find(course_id) if ids.is_entity(course_id) else None
    if course is None or not course.is_published:
        raise Invalid.field("course", "does_not_exist", "There is no such course to enroll in.")
    moment = clock.rfc3339(now or clock.now())
    enrollment = Enrollment.new(caller.id, course.id, moment, logs.request_id.get())
    if not enrollment.insert():
        raise Conflict("You are enrolled in this course already.")
    sqs.send(sqs.ENROLLMENT_EMAILS, sqs.enrollment_message(enrollment.id, enrollment.request_id))
    return enrollment


def browse(caller: Caller, request: PageRequest, *, course: str | None, student: str | None) -> Page[Enrollment]:
    """A page of enrollments, newest first: a student's own ones; for others all, of a course or student if named."""
    if caller.role is Role.STUDENT:
        if student not in (None, caller.id):
            return Page([], None, None)
        student = caller.id
    if student is not None and course is not None:
        pair = Enrollment.find_pair(student, course) if student and course else None
        return Page([pair] if pair else [], None, None)

    def fetch(after: str | None, back: bool, limit: int) -> list[Enrollment]:
        if student is not None:
            return Enrollment.list_of_student(student, after=after, back=back, limit=limit) if student else []
        if course is not None:
            return Enrollment.list_of_course(course, after=after, back=back, limit=limit)
        return Enrollment.list_all(after=after, back=back, limit=limit)

    return turn_to(request, fetch)


def end(caller: Caller, enrollment_id: str) -> None:
    """Take a student out of a course.

    Raises Forbidden for instructors, NotFound for one that is not the student's, or ended before.
    """
    if caller.role is Role.INSTRUCTOR:
        raise Forbidden("Only the student and admins end an enrollment.")
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is None or not (caller.is_admin or enrollment.student == caller.id):
        raise _unknown()
    if not remove(enrollment):
        raise _unknown()


def remove(enrollment: Enrollment) -> bool:
    """Delete an enrollment, and note it for the reports; False if it ended before."""
    return any(remove_all([enrollment]))


def remove_all(enrollments: Iterable[Enrollment], still: Check | None = None) -> Iterator[int]:
    """Delete enrollments and note them for the reports, as many at once as a transaction holds.

    ``still`` adds one condition to each transaction. Gives how many each transaction removed, without
    those that had ended before.

    Raises ConditionFailed when that condition does not hold.
    """
    rest = iter(enrollments)
    while batch := [*islice(rest, _REMOVED_AT_ONCE)]:
        yield _remove(batch, still)


def _remove(batch: list[Enrollment], still: Check | None) -> int:
    moment = clock.rfc3339(clock.now())
    checks = 1 if still else 0
    while batch:

        def write(transaction: TransactWrite, batch: list[Enrollment] = batch) -> None:
            if still:
                still(transaction)
            for enrollment in batch:
                transaction.delete(enrollment, condition=Enrollment.nonce == enrollment.nonce)
                for entry in LedgerEntry.of_deleted(ledger.ENROLLMENT, enrollment.id, enrollment.created_at, moment):
                    transaction.save(entry)

        try:
            transact(write)
            break
        except ConditionFailed as error:
            if still and 0 in error.failed:
                raise
            # Somebody was faster with some of them; a transaction's deletions come behind its checks, in their order.
            batch = [one for number, one in enumerate(batch, start=checks) if number not in error.failed]
    return len(batch)


def _unknown() -> NotFound:
    return NotFound("There is no such enrollment.")
