"""Enrollments: who may enroll, withdraw, and see enrollments."""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from chalicelib.adapters import sqs
from chalicelib.core import clock, ids
from chalicelib.core.audit import Action, Actor
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.errors import (
    Conflict,
    DomainError,
    FieldError,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    NotFound,
)
from chalicelib.core.pagination import Page, PageRequest, paginate
from chalicelib.core.roles import Role
from chalicelib.models.base import ConditionFailed, Transaction
from chalicelib.models.enrollments import MAX_DELETE_BATCH_SIZE, AlreadyEnrolled, Enrollment
from chalicelib.models.throttles import Throttle
from chalicelib.models.users import User
from chalicelib.observability import logs
from chalicelib.services import audit, course_cache, rate_limits
from chalicelib.services.rendering import RenderedCourse


def enroll(caller: Caller, course_id: str, now: datetime | None = None, suffix: str | None = None) -> Enrollment:
    """Enroll the caller in a published course, and request the email to them.

    The row records the pending email, so that none is lost when the queue is not reachable.

    Raises:
        Forbidden: The caller is not a student, or has not verified their email address and this stage requires it.
        InvalidInput: The course does not exist or is not published.
        Conflict: The caller is enrolled already, or enrollment is not open.
        TooManyAttempts: The caller has enrolled too often.
        NotAuthenticated: The caller was deactivated or erased, or is no longer a student.
    """
    if caller.role is not Role.STUDENT:
        raise Forbidden("Only students can enroll.")
    course = course_cache.get(course_id) if ids.is_valid_id(course_id) else None
    if course is None or not course.is_published:
        raise InvalidInput.for_field("course", "does_not_exist", "The course does not exist or is not published.")
    created_at = clock.format_timestamp(now or clock.now())
    _require_open(course, created_at)
    enrollment = Enrollment.new(caller.id, course.id, created_at, logs.request_id.get(), suffix)
    _insert(caller, enrollment)
    sqs.send(sqs.EMAILS, sqs.email_message(enrollment.email_kind, enrollment.id, enrollment.request_id))
    return enrollment


def get_own(caller: Caller, enrollment_id: str) -> Enrollment:
    """Return an enrollment of the caller.

    Raises:
        NotFound: It does not exist, or is another student's.
    """
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is None or enrollment.student != caller.id:
        raise _not_found()
    return enrollment


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
        return Page([row] if row else [], None, None)

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
    if enrollment is None or not (caller.is_admin or enrollment.student == caller.id):
        raise _not_found()
    if not _withdraw(caller, enrollment):
        raise _not_found()


class StudentActive(ConditionFailed):
    """The student whose enrollments were to be deleted for inactivity became active."""


def delete_in_batches(enrollments: Iterable[Enrollment], inactive_student: User | None = None) -> Iterator[int]:
    """Delete enrollments, one transaction per batch, and yield how many each one deleted.

    With ``inactive_student``, delete them only while the student is inactive.

    Raises:
        StudentActive: The student became active.
    """

    def extend(transaction: Transaction) -> None:
        if inactive_student:
            inactive_student.check_still_inactive(transaction, label="student")

    remaining = iter(enrollments)
    while batch := [*islice(remaining, MAX_DELETE_BATCH_SIZE)]:
        try:
            deleted = Enrollment.delete_batch(batch, clock.timestamp(), extend)
        except ConditionFailed as error:
            raise StudentActive(error.failed) from error
        yield deleted


def _require_open(course: RenderedCourse, now: str) -> None:
    if course.opens_at and now < course.opens_at:
        raise Conflict.for_field("course", "not_open", f"Enrollment opens at {course.opens_at}.")
    if course.closes_at and now >= course.closes_at:
        raise Conflict.for_field("course", "closed", f"Enrollment closed at {course.closes_at}.")


def _insert(caller: Caller, enrollment: Enrollment) -> None:
    hourly = rate_limits.enrollments_of(caller.id)
    withdrawals = rate_limits.withdrawals_from(caller.id, enrollment.course)
    may_enroll = User.is_current(Role.STUDENT)
    if settings().is_email_verification_required:
        may_enroll &= User.email_verified == True  # noqa: E712  of PynamoDB

    def extend(transaction: Transaction) -> None:
        now = int(time.time())
        transaction.check(User, caller.id, may_enroll, label="student")
        Throttle.add_reservation(transaction, hourly, now)
        Throttle.add_check(transaction, withdrawals, now)

    while True:
        try:
            enrollment.insert(extend)
            return
        except AlreadyEnrolled as error:
            raise Conflict("You are already enrolled in this course.") from error
        except ConditionFailed as error:
            if "student" in error.failed:
                raise _refusal(caller) from error
            rate_limits.require_left(hourly, "Too many enrollments. Retry later.")
            rate_limits.require_left(withdrawals, "You left this course too often. Retry later.")


def _refusal(caller: Caller) -> DomainError:
    """Return why the account of a student may not enroll."""
    user = User.find(caller.id)
    if user is None or not user.is_active or user.role != Role.STUDENT:
        return NotAuthenticated.outdated()
    message = "Verify your email address before you enroll."
    return Forbidden(message, (FieldError("email", "email_unverified", message),))


def _withdraw(caller: Caller, enrollment: Enrollment) -> bool:
    """Delete an enrollment: count it for the limit of enrolling again, or record that an admin ended it."""
    withdrawals = rate_limits.withdrawals_from(enrollment.student, enrollment.course)

    def extend(transaction: Transaction) -> None:
        if caller.id == enrollment.student:
            Throttle.add_event(transaction, withdrawals, int(time.time()))
        else:
            audit.entry(Actor.of(caller), Action.ENROLLMENT_ENDED, enrollment.id).add_to(transaction)

    while True:
        try:
            return bool(Enrollment.delete_batch([enrollment], clock.timestamp(), extend))
        except ConditionFailed:  # the window was over
            rate_limits.current_window(withdrawals, int(time.time()))


def _not_found() -> NotFound:
    return NotFound("Enrollment not found.")
