"""Courses and lessons as readers get them: rendered once, when they are loaded, and then cached as text."""

import json
from typing import NamedTuple

from chalicelib.core.audiences import LessonAudience
from chalicelib.core.pagination import Cursor, Page
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson


class RenderedCourse(NamedTuple):
    """The JSON of a course, with what decides who may view it and enroll, and whether a client has this version."""

    id: str
    owner_id: str
    is_published: bool
    version: int
    opens_at: str | None
    closes_at: str | None
    has_place_counter: bool
    json: str


class RenderedCoursePage(NamedTuple):
    """The JSON of the courses of a page, separated by commas, and the cursors of its neighbours."""

    json: str
    next_cursor: Cursor | None
    previous_cursor: Cursor | None


class RenderedLesson(NamedTuple):
    """The JSON of a lesson, with what decides whether a client has this version."""

    id: str
    version: int
    json: str


class LessonsOfCourse(NamedTuple):
    """A page of the lessons of a course, with what decides who may view them and read their content."""

    owner_id: str
    is_published: bool
    lessons_for: str
    page: Page[RenderedLesson]


def render_course(course: Course) -> RenderedCourse:
    """Return a course as its readers get it. The JSON is that of the schema CourseRead, which a test compares."""
    cents = int(course.price_cents)
    fields = {
        "id": course.id,
        "title": course.title,
        "description": course.description,
        "price": f"{cents // 100}.{cents % 100:02d}",
        "is_published": course.is_published,
        "owner": course.owner,
        "owner_id": course.owner_id,
        "created_at": course.created_at,
        "updated_at": course.updated_at,
        "lessons_count": int(course.lessons_count),
    }
    return RenderedCourse(
        course.id,
        course.owner_id,
        course.is_published,
        int(course.version),
        course.opens_at,
        course.closes_at,
        course.has_place_counter,
        _json(fields | _optional_fields(course)),
    )


def render_course_page(page: Page[Course]) -> RenderedCoursePage:
    """Return a page of courses as its readers get it."""
    text = ",".join(render_course(course).json for course in page.items)
    return RenderedCoursePage(text, page.next_cursor, page.previous_cursor)


def render_lesson(lesson: Lesson) -> RenderedLesson:
    """Return a lesson as its readers get it. The JSON is that of the schema LessonRead, which a test compares."""
    fields = {
        "id": lesson.id,
        "course": lesson.course,
        "title": lesson.title,
        "content": lesson.content,
        "duration_min": int(lesson.duration_min),
        "order_index": int(lesson.order_index),
    }
    return RenderedLesson(lesson.id, int(lesson.version), _json(fields))


def lock_lesson(lesson: RenderedLesson) -> RenderedLesson:
    """Return a lesson as callers get it who may not read its content."""
    fields = json.loads(lesson.json)
    del fields["content"]
    return lesson._replace(json=_json(fields | {"locked": True}))


def _optional_fields(course: Course) -> dict[str, object]:
    """Return the fields that a response has only if they differ from their defaults."""
    fields = {
        "capacity": course.capacity and int(course.capacity),
        "waitlist": int(course.waitlist),
        "opens_at": course.opens_at,
        "closes_at": course.closes_at,
        "lessons_for": course.lessons_for if course.lessons_for != LessonAudience.EVERYONE else None,
    }
    return {name: value for name, value in fields.items() if value}


def text_size(course: Course) -> int:
    """Return how many bytes the only long text of a course takes in JSON."""
    return len(json.dumps(course.description))


def _json(fields: dict[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
