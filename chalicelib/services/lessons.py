"""Lessons: who writes them; a course's count of them is exact."""

from datetime import datetime

from pynamodb.transactions import TransactWrite

from chalicelib import clock, ids
from chalicelib.callers import Caller
from chalicelib.errors import Forbidden, Invalid, NotFound
from chalicelib.models.base import ConditionFailed, transact
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import courses


def create(
    caller: Caller,
    course_id: str,
    *,
    title: str,
    content: str,
    duration_min: int,
    order_index: int,
    now: datetime | None = None,
) -> Lesson:
    """Add a lesson to a course, and one to its count.

    Raises Invalid for a course that the caller does not know of, Forbidden for one of another's.
    """
    try:
        course = courses.read(caller, course_id)
    except NotFound as error:
        raise _unknown_course() from error
    if not (caller.is_admin or course.owner_id == caller.id):
        raise Forbidden("Only the owner of the course and admins write its lessons.")
    created_at, nonce = clock.rfc3339(now or clock.now()), ids.nonce()
    lesson = Lesson(
        course.id,
        nonce,
        title=title,
        content=content,
        duration_min=duration_min,
        order_index=order_index,
        created_at=created_at,
        position=Lesson.position_of(order_index, created_at, nonce),
    )

    def write(transaction: TransactWrite) -> None:
        transaction.save(lesson)
        transaction.update(
            course, [Course.lessons_count.add(1)], condition=Course.id.exists(), add_version_condition=False
        )

    try:
        transact(write)
    except ConditionFailed as error:  # the course was deleted since it was read
        raise _unknown_course() from error
    return lesson


def _unknown_course() -> Invalid:
    return Invalid.field("course", "does_not_exist", "There is no such course.")
