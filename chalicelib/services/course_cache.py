"""Cached reads of rendered courses, for all callers: the services check afterwards who may view them.

Every write of a course runs inside `invalidating`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from chalicelib.adapters.cache import invalidation, read_through
from chalicelib.adapters.cache.read_through import Entry
from chalicelib.core.errors import Throttled, WriteContention
from chalicelib.core.pagination import Cursor, Page, PageRequest
from chalicelib.models.base import ConditionFailed
from chalicelib.models.courses import Course
from chalicelib.services.rendered_courses import RenderedCourse, render

_LISTS = "courses"


def get(course_id: str) -> RenderedCourse | None:
    """Return the course unless it is deleted, in its state after the last acknowledged write or later."""

    def load() -> RenderedCourse | None:
        course = Course.find(course_id)
        return render(course) if course else None

    return read_through.get_or_load(Entry(f"course:{course_id}", "detail", _serialize, _deserialize), load)


def get_page(name: str, request: PageRequest, load: Callable[[], Page[RenderedCourse]]) -> Page[RenderedCourse]:
    """Return a page of published courses. ``name`` identifies the list and its order; ``load`` reads the page."""
    cursor = request.cursor
    key = json.dumps([name, request.limit, cursor and [cursor.sort_key, cursor.backward]])
    entry = Entry(_LISTS, hashlib.sha256(key.encode()).hexdigest(), _serialize_page, _deserialize_page)
    return read_through.get_or_load(entry, load) or load()  # a page is never None, whatever the cache returns


def invalidating(*states: Course) -> AbstractContextManager[None]:
    """Invalidate the cached reads around a write, given the course before and after it."""
    scopes = {f"course:{course.id}" for course in states}
    if any(course.is_published for course in states):
        scopes.add(_LISTS)
    return invalidation.invalidating(*scopes, not_written_errors=(ConditionFailed, Throttled, WriteContention))


def _serialize(course: RenderedCourse) -> str:
    return _join([course])


def _deserialize(text: str) -> RenderedCourse:
    [course] = _split(*text.split("\n", 1))
    return course


def _serialize_page(page: Page[RenderedCourse]) -> str:
    cursors = [cursor and [cursor.sort_key, cursor.backward] for cursor in (page.next_cursor, page.previous_cursor)]
    return f"{json.dumps(cursors)}\n{_join(page.items)}"


def _deserialize_page(text: str) -> Page[RenderedCourse]:
    cursors, heads, bodies = text.split("\n", 2)
    next_cursor, previous_cursor = (Cursor(*cursor) if cursor else None for cursor in json.loads(cursors))
    return Page(_split(heads, bodies), next_cursor, previous_cursor)


def _join(courses: Sequence[RenderedCourse]) -> str:
    """Return courses as text: a line of JSON with all but their JSON, and its length; then the JSON of all."""
    heads = [[*course[:-1], len(course.json)] for course in courses]
    return f"{json.dumps(heads)}\n{''.join(course.json for course in courses)}"


def _split(heads: str, bodies: str) -> list[RenderedCourse]:
    """Return the courses of a text. Raises ValueError if it is malformed."""
    courses, start = [], 0
    for course_id, owner_id, is_published, version, length in json.loads(heads):
        body = bodies[start : start + length]
        courses.append(RenderedCourse(course_id, owner_id, is_published, version, body))
        start += length
    if start != len(bodies):
        raise ValueError("the lengths of the courses are wrong")
    return courses
