"""Cascade deletion of the dependents of deleted courses and users; resumable and idempotent.

A tombstone is swept three times: by the message of the deletion, once more by the cleanup, for dependents that
concurrent requests added, and after TOMBSTONE_RETENTION. It is purged when that last sweep finds none.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator
from datetime import datetime

from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotFound
from chalicelib.core.retry_policy import DELETION_REQUEUE_AFTER, INACTIVE_RETENTION, TOMBSTONE_RETENTION
from chalicelib.core.roles import Role
from chalicelib.models import places
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.models.sessions import Session
from chalicelib.models.tickets import Ticket
from chalicelib.models.users import User
from chalicelib.services import courses, withdrawals


class TargetStillExistsError(Exception):
    """The entity whose dependents were to be deleted exists."""


def delete_dependents(target: CascadeTarget, entity_id: str, now: datetime) -> Generator[int, None, None]:
    """Delete the dependents of an entity, and yield the number of rows at each step.

    Raises:
        TargetStillExistsError: The course or user is not deleted.
    """
    if target is CascadeTarget.INACTIVE:
        yield from _delete_inactive_enrollments(entity_id, now)
        return
    table, delete = _CASCADES[target]
    if table.find(entity_id) is not None:
        raise TargetStillExistsError(f"The {target} {entity_id} exists.")
    total = 0
    for count in delete(entity_id):
        total += count
        yield count
    if not total and table.purge_tombstone(entity_id, clock.format_timestamp(now - TOMBSTONE_RETENTION)):
        return
    table.mark_swept(entity_id, clock.format_timestamp(now - DELETION_REQUEUE_AFTER))


def _delete_course_dependents(course_id: str) -> Iterator[int]:
    yield from places.delete_all_of_course(course_id)
    yield from Lesson.delete_all_of_course(course_id)
    yield from withdrawals.delete_in_batches(Enrollment.all_of_course(course_id))


def _delete_user_dependents(user_id: str) -> Iterator[int]:
    yield from Session.delete_all_of_user(user_id)
    yield from Ticket.delete_all_of_user(user_id)
    yield from AccountEmail.delete_all_of_user(user_id)
    yield from withdrawals.delete_in_batches(Enrollment.all_of_student(user_id))
    for row in CourseListing.of_owner(user_id):
        with contextlib.suppress(NotFound):  # deleted concurrently
            courses.delete(Caller(user_id, "", Role.INSTRUCTOR, session_id=""), row.course_id, None)
        yield 1
        yield from _delete_course_dependents(row.course_id)  # of a draft, in which no student can be enrolling


def _delete_inactive_enrollments(user_id: str, now: datetime) -> Iterator[int]:
    user = User.find_inactive(user_id, clock.format_timestamp(now - INACTIVE_RETENTION))
    if user is None:
        return  # active again, or erased
    try:
        yield from withdrawals.delete_in_batches(Enrollment.all_of_student(user_id), inactive_student=user)
    except withdrawals.StudentActive:
        return
    user.clear_inactive()


_CASCADES: dict[CascadeTarget, tuple[type[Course] | type[User], Callable[[str], Iterator[int]]]] = {
    CascadeTarget.COURSE: (Course, _delete_course_dependents),
    CascadeTarget.USER: (User, _delete_user_dependents),
}
