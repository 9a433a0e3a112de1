"""What hangs on something that ended goes, and again from where it stopped, until nothing is left to go.

The tombstone stays for a day and is swept each hour, for what was on its way when it was put
there; it goes after a sweep that finds nothing.
"""

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from pynamodb.transactions import TransactWrite

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotFound
from chalicelib.core.roles import Role
from chalicelib.models import course_listings
from chalicelib.models.base import ConditionFailed
from chalicelib.models.course_listings import CourseListRow
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.services import courses, enrollments

TOMBSTONE_STAYS = timedelta(days=1)
"""Longer than any request runs, any access token lives and any index lags."""

INACTIVE_STAYS = timedelta(days=30)
"""How long a deactivated student's enrollments wait for them."""


class NotEnded(Exception):
    """Asked to remove what hangs on something that is there."""


def sweep(kind: str, thing: str, now: datetime) -> Iterator[int]:
    """Remove what hangs on a deleted course or user, or on a user inactive for long; gives how many rows, in steps.

    Raises NotEnded for a course or user that is there.
    """
    if kind == sqs.INACTIVE:
        yield from _of_inactive(thing, now)
        return
    table, hanging_on = _TOMBSTONES[kind]
    if table.find(thing) is not None:
        raise NotEnded(f"The {kind} {thing} is there.")
    removed = 0
    for count in hanging_on(thing):
        removed += count
        yield count
    if not removed:
        table.bury(thing, clock.rfc3339(now - TOMBSTONE_STAYS))


def _hanging_on_course(course_id: str) -> Iterator[int]:
    with Lesson.batch_write() as batch:
        for lesson in Lesson.query(course_id, consistent_read=True):
            batch.delete(lesson)
            yield 1
    yield from enrollments.remove_all(Enrollment.in_course(course_id))


def _hanging_on_user(user_id: str) -> Iterator[int]:
    with Session.batch_write() as batch:
        for session in Session.query(user_id, consistent_read=True):
            batch.delete(session)
            yield 1
    yield from enrollments.remove_all(Enrollment.query(user_id, consistent_read=True))
    for row in CourseListRow.query(course_listings.by_date(course_listings.owned_by(user_id)), consistent_read=True):
        with contextlib.suppress(NotFound):  # somebody else was faster
            courses.delete(Caller(user_id, "", Role.INSTRUCTOR, session_id=""), row.course_id, None)
        yield 1
        yield from _hanging_on_course(row.course_id)  # a draft: nobody can have been enrolling in it


def _of_inactive(user_id: str, now: datetime) -> Iterator[int]:
    before = clock.rfc3339(now - INACTIVE_STAYS)
    user = User.find_inactive(user_id, before)
    if user is None:
        return  # they came back, or were erased

    def still_inactive(transaction: TransactWrite) -> None:
        same = User.ended_at == user.ended_at
        transaction.condition_check(User, user_id, condition=same)

    try:
        yield from enrollments.remove_all(Enrollment.query(user_id, consistent_read=True), still_inactive)
    except ConditionFailed:
        return
    user.note_swept()


_TOMBSTONES: dict[str, tuple[type[Course] | type[User], Callable[[str], Iterator[int]]]] = {
    sqs.COURSE: (Course, _hanging_on_course),
    sqs.USER: (User, _hanging_on_user),
}
