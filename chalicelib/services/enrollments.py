"""Enrollments: who may enroll, withdraw, and see enrollments."""

from datetime import datetime
from functools import partial

from chalicelib.adapters import sqs
from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from chalicelib.core.pagination import Page, PageRequest, paginate
from chalicelib.core.roles import Role
from chalicelib.models.base import ConditionFailed
from chalicelib.models.enrollments import AlreadyEnrolled, Enrollment
from chalicelib.models.waitlist import WaitlistEntry
from chalicelib.observability import logs
from chalicelib.services import course_cache, eligibility, places, waitlist, withdrawals
from chalicelib.services.rendering import RenderedCourse


def enroll(caller: Caller, course_id: str, now: datetime | None = None, suffix: str | None = None) -> Enrollment:
    """Enroll the caller in a published course, and request the email to them.

    The row records the pending email, so that none is lost when the queue is not reachable.

    Raises:
        Forbidden: The caller is not a student, or has not verified their email address and this stage requires it.
        InvalidInput: The course does not exist or is not published.
        Conflict: The caller is enrolled or waits already, or enrollment is not open, or the course is full.
        TooManyAttempts: The caller has enrolled too often.
        NotAuthenticated: The caller was deactivated or erased, or is no longer a student.
    """
    enrollment, _ = _enroll(caller, course_id, now, suffix, can_wait=False)
    return enrollment


def enroll_or_wait(caller: Caller, course_id: str, suffix: str | None = None) -> Enrollment | WaitlistEntry:
    """Enroll the caller as `enroll` does, or add them to the waitlist if the course is full.

    Raises:
        Conflict: As `enroll` does, or the waitlist is full.
        DomainError: As `enroll` does.
    """
    row, position = _enroll(caller, course_id, None, suffix, can_wait=True)
    return WaitlistEntry.of(row, position) if row.is_waiting else row


def get_own(caller: Caller, enrollment_id: str) -> Enrollment | WaitlistEntry:
    """Return an enrollment or a waiting entry of the caller.

    Raises:
        NotFound: It does not exist, or is another student's.
    """
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is None or enrollment.student != caller.id:
        raise _not_found()
    return waitlist.entry_of(enrollment) if enrollment.is_waiting else enrollment


def list_enrollments(
    caller: Caller, request: PageRequest, *, course: str | None, student: str | None
) -> Page[Enrollment]:
    """Return a page of enrollments, newest first: a student's own, or all for other roles, filtered if requested."""
    if caller.role is Role.STUDENT:
        if student not in (None, caller.id):
            return Page([], None, None)
        student = caller.id
    if student is not None and course is not None:
        row = Enrollment.find_by_student_and_course(student, course) if student and course else None
        return Page([row] if row and not row.is_waiting else [], None, None)

    def fetch(after: str | None, backward: bool, limit: int) -> list[Enrollment]:
        if student is not None:
            if not student:  # no key of the table is empty
                return []
            return Enrollment.list_of_student(student, after=after, backward=backward, limit=limit)
        if course is not None:
            return Enrollment.list_of_course(course, after=after, backward=backward, limit=limit)
        return Enrollment.list_all(after=after, backward=backward, limit=limit)

    return paginate(request, fetch)


def withdraw(caller: Caller, enrollment_id: str) -> None:
    """Delete an enrollment.

    Raises:
        Forbidden: The caller is an instructor.
        NotFound: It does not exist, or is another student's.
    """
    if caller.role is Role.INSTRUCTOR:
        raise Forbidden("Only the student and admins can delete an enrollment.")
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is None or enrollment.is_waiting or not (caller.is_admin or enrollment.student == caller.id):
        raise _not_found()
    if not withdrawals.end(caller, enrollment):
        raise _not_found()


def _enroll(
    caller: Caller, course_id: str, now: datetime | None, suffix: str | None, *, can_wait: bool
) -> tuple[Enrollment, int]:
    """Return the enrollment, or the waiting entry with its position."""
    if caller.role is not Role.STUDENT:
        raise Forbidden("Only students can enroll.")
    course = course_cache.get(course_id) if ids.is_valid_id(course_id) else None
    if course is None or not course.is_published:
        raise InvalidInput.for_field("course", "does_not_exist", "The course does not exist or is not published.")
    created_at = clock.format_timestamp(now or clock.now())
    _require_open(course, created_at)
    if course.has_place_counter:
        enrollment, position = places.join(caller.id, course.id, created_at, suffix, can_wait=can_wait)
    else:
        enrollment, position = Enrollment.new(caller.id, course.id, created_at, logs.request_id.get(), suffix), 0
        _insert(caller, enrollment)
    if not enrollment.is_waiting:
        sqs.send(sqs.EMAILS, sqs.email_message(enrollment.email_kind, enrollment.id, enrollment.request_id))
    return enrollment, position


def _require_open(course: RenderedCourse, now: str) -> None:
    if course.opens_at and now < course.opens_at:
        raise Conflict.for_field("course", "not_open", f"Enrollment opens at {course.opens_at}.")
    if course.closes_at and now >= course.closes_at:
        raise Conflict.for_field("course", "closed", f"Enrollment closed at {course.closes_at}.")


def _insert(caller: Caller, enrollment: Enrollment) -> None:
    while True:
        try:
            enrollment.insert(partial(eligibility.add_conditions, caller.id, enrollment.course))
            return
        except AlreadyEnrolled as error:
            raise eligibility.already_enrolled() from error
        except ConditionFailed as error:
            eligibility.raise_refusal(caller.id, enrollment.course, error)


def _not_found() -> NotFound:
    return NotFound("Enrollment not found.")
