"""Lists of lessons: of one course, or a walk over all courses that a visitor may see.

A place in the walk is ``<course's position in its list>|<lesson's position in the course>``; with
nothing behind the bar it is before the course's lessons, with ``~`` behind them all.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.core import pagination
from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotFound
from chalicelib.core.pagination import Page, PageRequest, Place, turn_to
from chalicelib.models import course_listings
from chalicelib.models.course_listings import CourseListRow
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import courses

MAX_COURSES_A_PAGE = 20
_LOADED_AT_ONCE = 20
_FIRST, _LAST = "", "~"


@dataclass(frozen=True)
class _Spot:
    """Where a lesson stands in a list: what is known of it without reading it."""

    position: str
    course: str
    nonce: str


def browse(visitor: Caller | None, request: PageRequest, course_id: str | None) -> Page[Lesson]:
    """A page of the lessons of a course, or of all courses that the visitor may see: by course, newest first."""
    back = request.place is not None and request.place.back
    if course_id is None:
        return _loaded(_walked(visitor, request), back)
    try:
        course = courses.current(visitor, course_id)
    except NotFound:
        return Page([], None, None)
    return _loaded(turn_to(request, lambda after, back, limit: _spots(course.id, "", after, back, limit)), back)


def _walked(visitor: Caller | None, request: PageRequest) -> Page[_Spot]:
    place = request.place
    spots, end = _walk(visitor, place, request.limit)
    if place is not None and place.back:
        spots.reverse()
        following = Place(spots[-1].position if spots else place.position)
        return Page(spots, following, Place(end, back=True) if end else None)
    previous = Place(spots[0].position if spots else place.position, back=True) if place else None
    return Page(spots, Place(end) if end else None, previous)


def _walk(visitor: Caller | None, place: Place | None, limit: int) -> tuple[list[_Spot], str | None]:
    """Up to ``limit`` spots from a place on, and where to go on if there can be more.

    It visits a bounded number of courses, so it can come back with few spots or none.
    """
    back = place is not None and place.back
    at, _, lesson = (place.position if place else "").partition("|")
    spots: list[_Spot] = []
    if place is not None and lesson != (_FIRST if back else _LAST):
        spots += _of_courses(visitor, [at], lesson, back, limit + 1)
    positions: list[str] = []
    if len(spots) <= limit:
        partitions = [course_listings.by_date(name) for name in courses.lists_of(visitor)]
        rows = CourseListRow.page(partitions, forward=back, after=at or None, limit=MAX_COURSES_A_PAGE + 1)
        positions = [str(row.position) for row in rows]
        spots += _of_courses(visitor, positions[:MAX_COURSES_A_PAGE], None, back, limit + 1 - len(spots))
    if len(spots) > limit:
        return spots[:limit], spots[limit - 1].position
    if len(positions) > MAX_COURSES_A_PAGE:
        return spots, f"{positions[MAX_COURSES_A_PAGE - 1]}|{_FIRST if back else _LAST}"
    return spots, None


def _of_courses(
    visitor: Caller | None, positions: Sequence[str], after: str | None, back: bool, limit: int
) -> list[_Spot]:
    """Up to ``limit`` spots of the courses at these positions, as far as the visitor may see them."""
    found = Course.find_all([course_listings.course_at(position) for position in positions])
    spots: list[_Spot] = []
    for position in positions:
        course = found.get(course_listings.course_at(position))
        if course is not None and course.lessons_count and courses.may_see(visitor, course) and len(spots) < limit:
            spots += _spots(course.id, f"{position}|", after, back, limit - len(spots))
    return spots


def _spots(course_id: str, prefix: str, after: str | None, back: bool, limit: int) -> list[_Spot]:
    keys = Lesson.keys_of(course_id, after=after or None, back=back, limit=limit)
    return [_Spot(prefix + position, course_id, nonce) for position, nonce in keys]


def _loaded(page: Page[_Spot], back: bool) -> Page[Lesson]:
    """The lessons at a page's spots, fewer of them if they would be too large for one answer."""
    spots = page.items[::-1] if back else page.items
    lessons: list[Lesson] = []
    size = 0
    for start in range(0, len(spots), _LOADED_AT_ONCE):
        chunk = spots[start : start + _LOADED_AT_ONCE]
        found = Lesson.find_all([(spot.course, spot.nonce) for spot in chunk])
        for number, spot in enumerate(chunk, start):
            lesson = found.get((spot.course, spot.nonce))
            if lesson is None:
                continue
            size += len(json.dumps(lesson.content))
            if lessons and size > pagination.MAX_PAGE_BYTES:
                return _cut(page, lessons, spots[number - 1].position, back)
            lessons.append(lesson)
    return Page(lessons[::-1] if back else lessons, page.next, page.previous)


def _cut(page: Page[_Spot], lessons: list[Lesson], last: str, back: bool) -> Page[Lesson]:
    if back:
        return Page(lessons[::-1], page.next, Place(last, back=True))
    return Page(lessons, Place(last), page.previous)
