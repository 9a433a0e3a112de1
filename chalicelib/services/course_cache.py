"""Cached reads of courses, for all callers: the services check afterwards who may view them.

Every write of a course runs inside `invalidating`.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from chalicelib.adapters.cache import invalidation, read_through
from chalicelib.adapters.cache.read_through import Entry
from chalicelib.core.errors import Throttled, WriteContention
from chalicelib.core.pagination import Cursor, Page, PageRequest
from chalicelib.models.base import ConditionFailed
from chalicelib.models.courses import Course

_LISTS = "courses"
_NOT_CACHED = Course.TOMBSTONE_ATTRIBUTES + Course.INTERNAL_ATTRIBUTES
CACHED_ATTRIBUTES = tuple(name for name in Course.get_attributes() if name not in _NOT_CACHED)


def get(course_id: str) -> Course | None:
    """Return the course unless it is deleted, in its state after the last acknowledged write or later."""
    entry = Entry(f"course:{course_id}", "detail", _serialize, _deserialize)
    return read_through.get_or_load(entry, lambda: Course.find(course_id))


def get_page(name: str, request: PageRequest, load: Callable[[], Page[Course]]) -> Page[Course]:
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


def _serialize(course: Course) -> str:
    return json.dumps(_as_dict(course))


def _deserialize(text: str) -> Course:
    return _from_dict(json.loads(text))


def _serialize_page(page: Page[Course]) -> str:
    cursors = [cursor and [cursor.sort_key, cursor.backward] for cursor in (page.next_cursor, page.previous_cursor)]
    return json.dumps([[_as_dict(course) for course in page.items], *cursors])


def _deserialize_page(text: str) -> Page[Course]:
    courses, *cursors = json.loads(text)
    next_cursor, previous_cursor = (Cursor(*cursor) if cursor else None for cursor in cursors)
    return Page([_from_dict(course) for course in courses], next_cursor, previous_cursor)


def _as_dict(course: Course) -> dict[str, Any]:
    return {name: getattr(course, name) for name in CACHED_ATTRIBUTES}


def _from_dict(attributes: dict[str, Any]) -> Course:
    return Course(**{name: attributes[name] for name in CACHED_ATTRIBUTES})
