"""Lessons: who sees and writes them; a course's count of them is exact."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pynamodb.transactions import TransactWrite

from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Forbidden, Invalid, NotFound, PreconditionFailed
from chalicelib.models.base import retried, transact
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import course_cache, courses
from chalicelib.services.courses import Versions


def create(caller: Caller, course_id: str, fields: Mapping[str, Any], now: datetime | None = None) -> Lesson:
    """Add a lesson to a course, and one to its count. ``fields`` are title, content, duration_min, order_index.

    Raises Invalid for a course that the caller does not know of, Forbidden for one of another's.
    """
    moment = clock.rfc3339(now or clock.now())

    def add() -> Lesson:
        try:
            course = courses.current(caller, course_id)
        except NotFound as error:
            raise _unknown_course() from error
        _check_may_write(caller, course)
        lesson = Lesson(course.id, ids.nonce(), created_at=moment, **fields)
        lesson.place()

        def write(transaction: TransactWrite) -> None:
            transaction.save(lesson, condition=Lesson.course.does_not_exist())
            _count(transaction, course, 1)

        with course_cache.changing(course):
            transact(write)
        return lesson

    return retried(add)


def read(visitor: Caller | None, lesson_id: str) -> Lesson:
    """The lesson.

    Raises NotFound when there is none that the visitor may know of.
    """
    return _with_course(visitor, lesson_id)[0]


def update(caller: Caller, lesson_id: str, fields: Mapping[str, Any], versions: Versions) -> Lesson:
    """Change some fields of a lesson. What others change meanwhile, and these fields leave alone, is kept.

    Raises NotFound, Forbidden, Invalid for another course than its own, and PreconditionFailed when
    it has none of the expected versions.
    """

    def change() -> Lesson:
        old, _ = _to_write(caller, lesson_id, versions)
        if fields.get("course", old.course) != old.course:
            raise Invalid.field("course", "fixed", "A lesson stays in its course.")
        if all(getattr(old, name) == value for name, value in fields.items()):
            return old
        new = Lesson(**(old.attribute_values | dict(fields) | {"version": old.version + 1}))
        new.place()

        def write(transaction: TransactWrite) -> None:
            transaction.condition_check(Course, old.course, condition=Course.deleted_at.does_not_exist())
            transaction.save(new, condition=Lesson.version == old.version)

        transact(write)
        return new

    return retried(change)


def delete(caller: Caller, lesson_id: str, versions: Versions) -> None:
    """Delete a lesson, and take one from its course's count.

    Raises as `update` does.
    """

    def remove() -> None:
        lesson, course = _to_write(caller, lesson_id, versions)

        def write(transaction: TransactWrite) -> None:
            transaction.delete(lesson, condition=Lesson.version == lesson.version)
            _count(transaction, course, -1)

        with course_cache.changing(course):
            transact(write)

    retried(remove)


def _with_course(visitor: Caller | None, lesson_id: str) -> tuple[Lesson, Course]:
    lesson = Lesson.find(lesson_id)
    course = Course.find(lesson.course) if lesson else None
    if lesson is None or course is None or not courses.may_see(visitor, course):
        raise NotFound("There is no such lesson.")
    return lesson, course


def _to_write(caller: Caller, lesson_id: str, versions: Versions) -> tuple[Lesson, Course]:
    lesson, course = _with_course(caller, lesson_id)
    _check_may_write(caller, course)
    if versions is not None and lesson.version not in versions:
        raise PreconditionFailed("The lesson has changed since you read it.")
    return lesson, course


def _check_may_write(caller: Caller, course: Course) -> None:
    if not courses.may_write(caller, course):
        raise Forbidden("Only the owner of the course and admins write its lessons.")


def _count(transaction: TransactWrite, course: Course, change: int) -> None:
    # Not published since it was read, nor hidden: the lists that show the count are told by that.
    same = (Course.is_published == course.is_published) & Course.deleted_at.does_not_exist()
    transaction.update(course, [Course.lessons_count.add(change), Course.version.add(1)], condition=same)


def _unknown_course() -> Invalid:
    return Invalid.field("course", "does_not_exist", "There is no such course.")
