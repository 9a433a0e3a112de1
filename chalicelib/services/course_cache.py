"""Cached reads of courses, their lists and their lessons, for all callers: the services check who may view them.

Every write of a course or lesson runs inside `invalidating` or `invalidating_lessons`.
"""

from __future__ import annotations  # those of inner functions would be evaluated at each call

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache, partial

from chalicelib.adapters.cache import invalidation, read_through
from chalicelib.adapters.cache.entries import Entry
from chalicelib.adapters.cache.invalidation import Change
from chalicelib.core.errors import Throttled, WriteContention
from chalicelib.core.pagination import Page, PageRequest
from chalicelib.models.base import ConditionFailed
from chalicelib.models.courses import Course
from chalicelib.services import rendered_text
from chalicelib.services.course_list_tags import changed_tags
from chalicelib.services.rendering import (
    LessonsOfCourse,
    RenderedCourse,
    RenderedCoursePage,
    render_course,
    render_course_page,
)

_LISTS = "courses"
_LESSONS = "lessons"  # the tag of all lessons in the scope of their course


def get(course_id: str) -> RenderedCourse | None:
    """Return the course unless it is deleted, in its state after the last acknowledged write or later."""

    def load() -> RenderedCourse | None:
        course = Course.find(course_id)
        return render_course(course) if course else None

    entry = Entry(_scope(course_id), "detail", rendered_text.course_to_text, rendered_text.course_from_text)
    return read_through.get_or_load(entry, load)


def get_page(
    name: str, request: PageRequest, load: Callable[[], Page[Course]], tags: Callable[[Page[Course]], list[str]]
) -> RenderedCoursePage:
    """Return a page of published courses, read by ``load``.

    ``name`` identifies the list and its order, and ``tags`` returns the tags of the page (see `course_list_tags`).
    """
    tags_of_loaded: list[str] = []

    def load_rendered() -> RenderedCoursePage:
        page = load()
        tags_of_loaded[:] = tags(page)
        return render_course_page(page)

    to_text, from_text = rendered_text.page_to_text, rendered_text.page_from_text
    entry = Entry(_LISTS, _page_name(name, request), to_text, from_text, lambda _: tags_of_loaded)
    # A page is never None, whatever the cache returns.
    return read_through.get_or_load(entry, load_rendered) or load_rendered()


def get_lesson(course_id: str, suffix: str, load: Callable[[], LessonsOfCourse | None]) -> LessonsOfCourse | None:
    """Return a lesson, read by ``load``, as a page of one; None if it does not exist."""
    return _get_lessons(course_id, f"lesson:{suffix}", load)


def get_lessons(
    course_id: str, request: PageRequest, load: Callable[[], LessonsOfCourse | None]
) -> LessonsOfCourse | None:
    """Return a page of the lessons of a course, read by ``load``; None if the course does not exist."""
    return _get_lessons(course_id, _page_name("lessons", request), load)


def hide_status() -> None:
    """Report this read as a bypass: a hit would reveal that a hidden course exists."""
    read_through.cache_status.set(read_through.BYPASS)


def invalidating(old: Course | None, new: Course | None) -> AbstractContextManager[None]:
    """Invalidate the cached reads that a write changes, given the course before and after it, if it exists then."""
    [course_id] = {course.id for course in (old, new) if course}
    changes = [Change(_scope(course_id))]
    if tags := changed_tags(old, new):
        changes.append(Change(_LISTS, tuple(tags)))
    return _invalidating(*changes)


def invalidating_lessons(course_id: str) -> AbstractContextManager[None]:
    """Invalidate the cached lessons of a course around a write that changes neither their number nor the course."""
    return _invalidating(Change(_scope(course_id), (_LESSONS,)))


def _get_lessons(course_id: str, name: str, load: Callable[[], LessonsOfCourse | None]) -> LessonsOfCourse | None:
    to_text, from_text = rendered_text.lessons_to_text, rendered_text.lessons_from_text
    entry = Entry(_scope(course_id), name, to_text, from_text, lambda _: [_LESSONS])
    return read_through.get_or_load(entry, load)


@lru_cache(maxsize=256)
def _page_name(name: str, request: PageRequest) -> str:
    cursor = request.cursor
    text = json.dumps([name, request.limit, cursor and [cursor.sort_key, cursor.backward]])
    return hashlib.sha256(text.encode()).hexdigest()


def _scope(course_id: str) -> str:
    return f"course:{course_id}"


_invalidating = partial(invalidation.invalidating, not_written_errors=(ConditionFailed, Throttled, WriteContention))
