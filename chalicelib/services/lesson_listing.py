"""Lists of lessons: of one course, or across all courses that a caller may view.

A sort key across courses is ``<sort key of the course in its list>|<sort key of the lesson in the course>``. An empty
second part is before the course's lessons, ``~`` is after them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain

from chalicelib.core import ids, pagination
from chalicelib.core.caller import Caller
from chalicelib.core.pagination import Cursor, Page, PageRequest, paginate
from chalicelib.models import course_listings
from chalicelib.models.base import access_together
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import course_cache, courses
from chalicelib.services.rendering import LessonsOfCourse, RenderedLesson, render_lesson

MAX_COURSES_PER_PAGE = 20
_LOAD_BATCH_SIZE = 20
_FIRST, _LAST = "", "~"


@dataclass(frozen=True)
class _LessonRef:
    """A lesson's sort key in a list, and its key in the table."""

    sort_key: str
    course: str
    suffix: str


def list_lessons(caller: Caller | None, request: PageRequest, course_id: str | None) -> Page[RenderedLesson]:
    """Return a page of the lessons of a course, or of all courses that the caller may view, newest course first."""
    if course_id is not None:
        return _page_of_course(caller, request, course_id)
    return _load(_page_across_courses(caller, request), request.is_backward)


def _page_of_course(caller: Caller | None, request: PageRequest, course_id: str) -> Page[RenderedLesson]:
    """Return a page of the lessons of a course, from the cache; an empty one if the caller may not view the course."""

    def load() -> LessonsOfCourse | None:
        course = Course.find(course_id)
        if course is None:
            return None
        refs = paginate(request, lambda after, backward, limit: _refs(course_id, "", after, backward, limit))
        return LessonsOfCourse(course.owner_id, course.is_published, _load(refs, request.is_backward))

    lessons = course_cache.get_lessons(course_id, request, load) if ids.is_valid_id(course_id) else None
    if lessons and courses.can_view(caller, lessons):
        return lessons.page
    course_cache.hide_status()
    return Page([], None, None)


def _page_across_courses(caller: Caller | None, request: PageRequest) -> Page[_LessonRef]:
    cursor = request.cursor
    refs, end = _scan_courses(caller, cursor, request.limit)
    if cursor is not None and cursor.backward:
        refs.reverse()
        next_cursor = Cursor(refs[-1].sort_key if refs else cursor.sort_key)
        return Page(refs, next_cursor, Cursor(end, backward=True) if end else None)
    previous_cursor = Cursor(refs[0].sort_key if refs else cursor.sort_key, backward=True) if cursor else None
    return Page(refs, Cursor(end) if end else None, previous_cursor)


def _scan_courses(caller: Caller | None, cursor: Cursor | None, limit: int) -> tuple[list[_LessonRef], str | None]:
    """Return up to ``limit`` refs from a cursor on, and the sort key to continue from if more can follow.

    It reads at most MAX_COURSES_PER_PAGE courses, so it can return fewer refs, or none, although more follow. First
    come the remaining lessons of the course in the cursor, then those of the courses after it.
    """
    backward = cursor is not None and cursor.backward
    course_key, _, lesson_key = (cursor.sort_key if cursor else "").partition("|")
    refs: list[_LessonRef] = []
    if cursor is not None and lesson_key != (_FIRST if backward else _LAST):
        refs += _refs_in_courses(caller, [course_key], lesson_key, backward, limit + 1)
    course_keys: list[str] = []
    if len(refs) <= limit:
        partitions = [course_listings.by_date(name) for name in courses.visible_listings(caller)]
        count = MAX_COURSES_PER_PAGE + 1
        rows = CourseListing.page(partitions, ascending=backward, after=course_key or None, limit=count)
        course_keys = [str(row.sort_key) for row in rows]
        refs += _refs_in_courses(caller, course_keys[:MAX_COURSES_PER_PAGE], None, backward, limit + 1 - len(refs))
    if len(refs) > limit:
        return refs[:limit], refs[limit - 1].sort_key
    if len(course_keys) > MAX_COURSES_PER_PAGE:
        return refs, f"{course_keys[MAX_COURSES_PER_PAGE - 1]}|{_FIRST if backward else _LAST}"
    return refs, None


def _refs_in_courses(
    caller: Caller | None, course_keys: Sequence[str], after: str | None, backward: bool, limit: int
) -> list[_LessonRef]:
    """Return up to ``limit`` refs of the courses at these sort keys, as far as the caller may view them."""
    by_id = Course.find_all([course_listings.course_id_of(key) for key in course_keys])
    keyed = [(key, by_id.get(course_listings.course_id_of(key))) for key in course_keys]
    pending = [(key, course) for key, course in keyed if course and courses.can_view(caller, course)]
    refs: list[_LessonRef] = []
    while pending and len(refs) < limit:
        count = _count_with_lessons([int(course.lessons_count) for _, course in pending], limit - len(refs))
        reads = [
            partial(_refs, course.id, f"{key}|", after, backward, limit - len(refs))
            for key, course in pending[:count]
            if course.lessons_count
        ]
        refs += chain.from_iterable(access_together([Lesson], reads) if reads else [])
        pending = pending[count:]
    return refs[:limit]


def _count_with_lessons(lesson_counts: Sequence[int], limit: int) -> int:
    """Return how many of the first courses have as many lessons together; all courses if they have fewer."""
    sums = accumulate(lesson_counts)
    return next((number for number, lessons in enumerate(sums, 1) if lessons >= limit), len(lesson_counts))


def _refs(course_id: str, prefix: str, after: str | None, backward: bool, limit: int) -> list[_LessonRef]:
    keys = Lesson.page_keys(course_id, after=after or None, backward=backward, limit=limit)
    return [_LessonRef(prefix + sort_key, course_id, suffix) for sort_key, suffix in keys]


def _load(page: Page[_LessonRef], backward: bool) -> Page[RenderedLesson]:
    """Return the lessons of a page's refs, as many as fit into one response."""
    refs = page.items[::-1] if backward else page.items
    lessons: list[RenderedLesson] = []
    size = 0
    for start in range(0, len(refs), _LOAD_BATCH_SIZE):
        batch = refs[start : start + _LOAD_BATCH_SIZE]
        by_key = Lesson.find_all([(ref.course, ref.suffix) for ref in batch])
        for number, ref in enumerate(batch, start):
            lesson = by_key.get((ref.course, ref.suffix))
            if lesson is None:
                continue
            size += len(json.dumps(lesson.content))
            if lessons and size > pagination.MAX_PAGE_BYTES:
                return _truncate(page, lessons, refs[number - 1].sort_key, backward)
            lessons.append(render_lesson(lesson))
    return Page(lessons[::-1] if backward else lessons, page.next_cursor, page.previous_cursor)


def _truncate(page: Page[_LessonRef], lessons: list[RenderedLesson], last: str, backward: bool) -> Page[RenderedLesson]:
    if backward:
        return Page(lessons[::-1], page.next_cursor, Cursor(last, backward=True))
    return Page(lessons, Cursor(last), page.previous_cursor)
