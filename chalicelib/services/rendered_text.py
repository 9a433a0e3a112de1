"""The text as which rendered courses and lessons are cached.

The JSON of the items follows a line of JSON with all else, so that a reader copies it and parses only that line.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chalicelib.core.pagination import Cursor, Page
from chalicelib.services.rendering import LessonsOfCourse, RenderedCourse, RenderedCoursePage, RenderedLesson

Item = TypeVar("Item", bound=RenderedCourse | RenderedLesson)


def course_to_text(course: RenderedCourse) -> str:
    """Return a course as text."""
    return _join([], [course])


def course_from_text(text: str) -> RenderedCourse:
    """Return the course of a text. Raises ValueError or TypeError if it is malformed."""
    [course] = _split(text, RenderedCourse._make)[1]
    return course


def page_to_text(page: RenderedCoursePage) -> str:
    """Return a page of courses as text."""
    return f"{json.dumps([_cursor_fields(page), len(page.json)])}\n{page.json}"


def page_from_text(text: str) -> RenderedCoursePage:
    """Return the page of a text. Raises ValueError or TypeError if it is malformed."""
    line, courses = text.split("\n", 1)
    cursors, length = json.loads(line)
    if length != len(courses):
        raise ValueError("the length of the courses is wrong")
    return RenderedCoursePage(courses, *_cursors(cursors))


def lessons_to_text(lessons: LessonsOfCourse) -> str:
    """Return lessons of a course as text."""
    return _join([*lessons[:-1], *_cursor_fields(lessons.page)], lessons.page.items)


def lessons_from_text(text: str) -> LessonsOfCourse:
    """Return the lessons of a text. Raises ValueError or TypeError if it is malformed."""
    (owner_id, is_published, lessons_for, *cursors), lessons = _split(text, RenderedLesson._make)
    return LessonsOfCourse(owner_id, is_published, lessons_for, Page(lessons, *_cursors(cursors)))


def _cursor_fields(page: RenderedCoursePage | Page[RenderedLesson]) -> list[Any]:
    return [cursor and [cursor.sort_key, cursor.backward] for cursor in (page.next_cursor, page.previous_cursor)]


def _cursors(fields: list[Any]) -> tuple[Cursor | None, Cursor | None]:
    next_cursor, previous_cursor = (Cursor(*cursor) if cursor else None for cursor in fields)
    return next_cursor, previous_cursor


def _join(head: list[Any], items: Sequence[Item]) -> str:
    """Return a line of JSON with the head, and the items without their JSON but with its length; then the JSON."""
    fields = [[*item[:-1], len(item.json)] for item in items]
    return f"{json.dumps([head, fields])}\n{''.join(item.json for item in items)}"


def _split(text: str, make: Callable[[list[Any]], Item]) -> tuple[list[Any], list[Item]]:
    line, bodies = text.split("\n", 1)
    head, rows = json.loads(line)
    items, start = [], 0
    for *fields, length in rows:
        fields.append(bodies[start : start + length])
        items.append(make(fields))
        start += length
    if start != len(bodies):
        raise ValueError("the lengths of the items are wrong")
    return head, items
