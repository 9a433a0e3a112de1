"""Who gets the content of lessons: everyone who may view the course, or the enrolled, its owner and admins.

Each request decides it after the cache, which has the content of all lessons.
"""

from collections.abc import Mapping

from chalicelib.core import ids
from chalicelib.core.audiences import LessonAudience
from chalicelib.core.caller import Caller
from chalicelib.core.pagination import Page
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.services import courses
from chalicelib.services.rendering import LessonsOfCourse, RenderedLesson, lock_lesson


def can_read_content(caller: Caller | None, course_id: str, course: Course | LessonsOfCourse) -> bool:
    """Return whether the caller, who may view a course, gets the content of its lessons."""
    return not _find_locked(caller, {course_id: course})


def lock_page(
    caller: Caller | None, page: Page[RenderedLesson], courses_by_id: Mapping[str, Course | LessonsOfCourse]
) -> Page[RenderedLesson]:
    """Return a page of lessons without the content that the caller may not read."""
    keyed = [(lesson, _course_id_of(lesson)) for lesson in page.items]
    locked = _find_locked(caller, {course_id: courses_by_id[course_id] for _, course_id in keyed})
    if not locked:
        return page
    lessons = [lock_lesson(lesson) if course_id in locked else lesson for lesson, course_id in keyed]
    return Page(lessons, page.next_cursor, page.previous_cursor)


def _find_locked(caller: Caller | None, courses_by_id: Mapping[str, Course | LessonsOfCourse]) -> set[str]:
    """Return the IDs of the courses whose lessons the caller gets without content.

    It makes one consistent read, only for students and only if lessons of the courses are for the enrolled.
    """
    locked = {
        course_id
        for course_id, course in courses_by_id.items()
        if course.lessons_for != LessonAudience.EVERYONE and not (caller and courses.can_edit(caller, course))
    }
    if locked and caller is not None and caller.role is Role.STUDENT:
        locked -= Enrollment.filter_enrolled(caller.id, [*locked])
    return locked


def _course_id_of(lesson: RenderedLesson) -> str:
    return lesson.id[: ids.ID_LENGTH]
