"""Lessons: who may view and edit them, and what changes do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core import clock, ids
from chalicelib.core.audit import Action
from chalicelib.core.caller import Caller
from chalicelib.core.errors import FieldError, Forbidden, InvalidInput, NotFound, PreconditionFailed
from chalicelib.core.pagination import Page
from chalicelib.core.versions import ExpectedVersions
from chalicelib.models.base import adding, retry_stale_reads
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import audit, course_cache, courses, lesson_access
from chalicelib.services.rendering import LessonsOfCourse, RenderedLesson, render_lesson


def create(
    caller: Caller, course_id: str, fields: Mapping[str, Any], now: datetime | None = None, suffix: str | None = None
) -> Lesson:
    """Add a lesson to a course. ``fields`` are title, content, duration_min and order_index.

    Raises:
        AlreadyCreated: The suffix of the ID was given, and a lesson has this ID.
        InvalidInput: The course does not exist, or the caller may not view it.
        Forbidden: The caller may not edit the course.
    """
    created_at = clock.format_timestamp(now or clock.now())

    def attempt() -> Lesson:
        try:
            course = courses.get_uncached(caller, course_id)
        except NotFound as error:
            raise InvalidInput.for_field("course", "does_not_exist", "Course not found.") from error
        _require_editor(caller, course)
        lesson = Lesson(course.id, suffix or ids.new_suffix(), created_at=created_at, **fields)
        entries = audit.on_course(caller, course, Action.LESSON_CREATED, lesson.id)
        with course_cache.invalidating(course, course):
            lesson.create(course, adding(*entries))
        return lesson

    return retry_stale_reads(attempt)


def get(caller: Caller | None, lesson_id: str) -> RenderedLesson:
    """Return a lesson, from the cache.

    Raises:
        NotFound: It does not exist, or the caller may not view its course.
        Forbidden: It is for the enrolled only, and the caller is not enrolled.
    """

    def load() -> LessonsOfCourse | None:
        lesson, course = _find(lesson_id)
        if lesson is None or course is None:
            return None
        page = Page([render_lesson(lesson)], None, None)
        return LessonsOfCourse(course.owner_id, course.is_published, course.lessons_for, page)

    key = ids.parse_lesson_id(lesson_id)
    lessons = course_cache.get_lesson(*key, load) if key else None
    if key is None or lessons is None or not courses.can_view(caller, lessons):
        raise _not_found()
    if not lesson_access.can_read_content(caller, key[0], lessons):
        message = "The lessons of this course are for the enrolled. Enroll to read them."
        raise Forbidden(message, (FieldError("course", "not_enrolled", message),))
    [lesson] = lessons.page.items
    return lesson


def get_uncached(caller: Caller, lesson_id: str) -> Lesson:
    """Return a lesson from the database.

    Raises:
        NotFound: It does not exist, or the caller may not view its course or read the content of its lessons.
    """
    lesson, course = _find_visible(caller, lesson_id)
    if not lesson_access.can_read_content(caller, course.id, course):
        raise _not_found()
    return lesson


def update(caller: Caller, lesson_id: str, fields: Mapping[str, Any], versions: ExpectedVersions) -> Lesson:
    """Change fields of a lesson. Concurrent changes of other fields are kept.

    Raises:
        NotFound: It does not exist, or the caller may not view its course.
        Forbidden: The caller may not edit its course.
        InvalidInput: The fields name another course.
        PreconditionFailed: It has none of the expected versions.
    """

    def attempt() -> Lesson:
        old, course = _load_for_update(caller, lesson_id, versions)
        if fields.get("course", old.course) != old.course:
            raise InvalidInput.for_field("course", "fixed", "A lesson cannot be moved to another course.")
        if all(getattr(old, name) == value for name, value in fields.items()):
            return old
        new = Lesson(**(old.attribute_values | dict(fields) | {"version": old.version + 1}))
        changes = audit.describe_changes(old, fields)
        entries = audit.on_course(caller, course, Action.LESSON_CHANGED, lesson_id, changes)
        with course_cache.invalidating_lessons(old.course):
            new.replace(old, adding(*entries))
        return new

    return retry_stale_reads(attempt)


def delete(caller: Caller, lesson_id: str, versions: ExpectedVersions) -> None:
    """Delete a lesson.

    Raises:
        NotFound, Forbidden, PreconditionFailed: As `update` does.
    """

    def attempt() -> None:
        lesson, course = _load_for_update(caller, lesson_id, versions)
        entries = audit.on_course(caller, course, Action.LESSON_DELETED, lesson_id)
        with course_cache.invalidating(course, course):
            lesson.delete_from(course, adding(*entries))

    retry_stale_reads(attempt)


def _find(lesson_id: str) -> tuple[Lesson | None, Course | None]:
    lesson = Lesson.find(lesson_id)
    return lesson, Course.find(lesson.course) if lesson else None


def _find_visible(caller: Caller, lesson_id: str) -> tuple[Lesson, Course]:
    lesson, course = _find(lesson_id)
    if lesson is None or course is None or not courses.can_view(caller, course):
        raise _not_found()
    return lesson, course


def _load_for_update(caller: Caller, lesson_id: str, versions: ExpectedVersions) -> tuple[Lesson, Course]:
    lesson, course = _find_visible(caller, lesson_id)
    _require_editor(caller, course)
    if versions is not None and lesson.version not in versions:
        raise PreconditionFailed("The lesson has changed since you read it.")
    return lesson, course


def _require_editor(caller: Caller, course: Course) -> None:
    if not courses.can_edit(caller, course):
        raise Forbidden("Only the course's owner and admins can change its lessons.")


def _not_found() -> NotFound:
    return NotFound("Lesson not found.")
