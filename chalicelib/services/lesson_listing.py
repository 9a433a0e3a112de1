"""Lists of lessons: of one course, or across all courses that a caller may view.

A sort key across courses is ``<sort key of the course in its list>|<sort key of the lesson in the course>``. An empty
second part is before the course's lessons, ``~`` is after them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from chalicelib.core import ids, pagination
from chalicelib.core.caller import Caller
from chalicelib.core.concurrency import MAX_THREADS
from chalicelib.core.pagination import Cursor, Page, PageRequest, paginate
from chalicelib.models import course_listings
from chalicelib.models.base import access_together
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import course_cache, courses, lesson_access
from chalicelib.services.rendering import LessonsOfCourse, RenderedLesson, render_lesson

MAX_COURSES_PER_PAGE = 20
_EXPECTED_LESSONS = 5  # of a course; of so many courses that these make a page, the keys of lessons are read ahead
_LOAD_BATCH_SIZE = 20
_FIRST, _LAST = "", "~"


class _LessonRef(NamedTuple):
    """A lesson's sort key in a list, and its key in the table."""

    sort_key: str
    course: str
    suffix: str


def list_lessons(caller: Caller | None, request: PageRequest, course_id: str | None) -> Page[RenderedLesson]:
    """Return a page of the lessons of a course, or of all courses that the caller may view, newest course first."""
    if course_id is not None:
        return _page_of_course(caller, request, course_id)
    refs, visible = _page_across_courses(caller, request)
    return lesson_access.lock_page(caller, _load(refs, request.is_backward), visible)


def _page_of_course(caller: Caller | None, request: PageRequest, course_id: str) -> Page[RenderedLesson]:
    """Return a page of the lessons of a course, from the cache; an empty one if the caller may not view the course."""

    def load() -> LessonsOfCourse | None:
        course = Course.find(course_id)
        if course is None:
            return None
        refs = paginate(request, lambda after, backward, limit: _refs(course_id, "", after, backward, limit))
        page = _load(refs, request.is_backward)
        return LessonsOfCourse(course.owner_id, course.is_published, course.lessons_for, page)

    lessons = course_cache.get_lessons(course_id, request, load) if ids.is_valid_id(course_id) else None
    if lessons and courses.can_view(caller, lessons):
        return lesson_access.lock_page(caller, lessons.page, {course_id: lessons})
    course_cache.hide_status()
    return Page([], None, None)


def _page_across_courses(caller: Caller | None, request: PageRequest) -> tuple[Page[_LessonRef], Mapping[str, Course]]:
    """Return a page of refs, and their courses by ID."""
    cursor = request.cursor
    refs, end, visible = _scan_courses(caller, cursor, request.limit)
    if cursor is not None and cursor.backward:
        refs.reverse()
        next_cursor = Cursor(refs[-1].sort_key if refs else cursor.sort_key)
        return Page(refs, next_cursor, Cursor(end, backward=True) if end else None), visible
    previous_cursor = Cursor(refs[0].sort_key if refs else cursor.sort_key, backward=True) if cursor else None
    return Page(refs, Cursor(end) if end else None, previous_cursor), visible


def _scan_courses(
    caller: Caller | None, cursor: Cursor | None, limit: int
) -> tuple[list[_LessonRef], str | None, Mapping[str, Course]]:
    """Return up to ``limit`` refs from a cursor on, the sort key to continue from if more can follow, and the courses.

    It reads at most MAX_COURSES_PER_PAGE courses, so it can return fewer refs, or none, although more follow. First
    come the remaining lessons of the course in the cursor, then those of the courses after it.

    The refs of the first courses are read at the same time as the courses, which decide whether they are visible. Then
    the refs of further courses are read, if the courses' numbers of lessons show that the page needs them.
    """
    backward = cursor is not None and cursor.backward
    keys, read = _course_keys(caller, cursor, limit)
    candidates, missing = keys[: len(read) + MAX_COURSES_PER_PAGE], limit - sum(map(len, read.values()))
    if missing >= 0:
        ahead = candidates[len(read) :][: min(1 + missing // _EXPECTED_LESSONS, MAX_THREADS)]
    else:
        candidates, ahead = candidates[:1], []
    visible, refs_ahead = _visible_courses(caller, candidates, ahead, backward, limit)
    read |= refs_ahead
    number, further = _choose_courses(candidates, visible, read, limit)
    if further:
        reads = [partial(_refs_after_key, key, None, backward, limit + 1) for key in further]
        read |= zip(further, access_together([Lesson], reads), strict=True)
    refs = [ref for key in candidates[:number] if key in visible for ref in read[key]]
    by_id = {course.id: course for course in visible.values()}
    if len(refs) > limit:
        return refs[:limit], refs[limit - 1].sort_key, by_id
    return refs, f"{keys[number - 1]}|{_FIRST if backward else _LAST}" if number < len(keys) else None, by_id


def _course_keys(
    caller: Caller | None, cursor: Cursor | None, limit: int
) -> tuple[list[str], dict[str, list[_LessonRef]]]:
    """Return the sort keys of the courses from a cursor on, and the refs that follow it in its course, if any can.

    There is one key more than a page has courses, so that it shows whether more follow.
    """
    backward = cursor is not None and cursor.backward
    course_key, _, lesson_key = (cursor.sort_key if cursor else "").partition("|")

    def keys_of_courses() -> list[str]:
        partitions = [course_listings.by_date(name) for name in courses.visible_listings(caller)]
        count = MAX_COURSES_PER_PAGE + 1
        rows = CourseListing.page(partitions, ascending=backward, after=course_key or None, limit=count)
        return [str(row.sort_key) for row in rows]

    if cursor is None or lesson_key == (_FIRST if backward else _LAST):
        return keys_of_courses(), {}
    refs_at_cursor = partial(_refs_after_key, course_key, lesson_key, backward, limit + 1)
    calls: list[Callable[[], list[Any]]] = [keys_of_courses, refs_at_cursor]  # the first may make concurrent calls
    keys, refs = access_together([CourseListing, Lesson], calls)
    return [course_key, *keys], {course_key: refs}


def _visible_courses(
    caller: Caller | None, course_keys: Sequence[str], ahead: Sequence[str], backward: bool, limit: int
) -> tuple[dict[str, Course], dict[str, list[_LessonRef]]]:
    """Return the courses that have lessons and that the caller may view, and the refs of some courses, by sort key."""
    calls: list[Callable[[], Any]] = [partial(Course.find_all, [*map(course_listings.course_id_of, course_keys)])]
    calls += [partial(_refs_after_key, key, None, backward, limit + 1) for key in ahead]
    by_id, *refs = access_together([Course, Lesson], calls)
    keyed = [(key, by_id.get(course_listings.course_id_of(key))) for key in course_keys]
    visible = {key: one for key, one in keyed if one and one.lessons_count and courses.can_view(caller, one)}
    return visible, dict(zip(ahead, refs, strict=True))


def _choose_courses(
    course_keys: Sequence[str], visible: Mapping[str, Course], read: Mapping[str, Sequence[_LessonRef]], limit: int
) -> tuple[int, list[str]]:
    """Return how many of the courses have more than ``limit`` lessons, and those of them that are still to be read."""
    lessons, further = 0, list[str]()
    for number, key in enumerate(course_keys, 1):
        if key in visible:
            lessons += len(read[key]) if key in read else int(visible[key].lessons_count)
            further += [] if key in read else [key]
        if lessons > limit:
            return number, further
    return len(course_keys), further


def _refs_after_key(course_key: str, after: str | None, backward: bool, limit: int) -> list[_LessonRef]:
    """Return up to ``limit`` refs of the course at a sort key, after the sort key of a lesson."""
    return _refs(course_listings.course_id_of(course_key), f"{course_key}|", after, backward, limit)


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
