"""Courses as readers get them: rendered once, when they are loaded, and then cached as text."""

import json
from typing import NamedTuple

from chalicelib.models.courses import Course


class RenderedCourse(NamedTuple):
    """The JSON of a course, with what decides who may view it and whether a client has this version."""

    id: str
    owner_id: str
    is_published: bool
    version: int
    json: str


def render(course: Course) -> RenderedCourse:
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
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return RenderedCourse(course.id, course.owner_id, course.is_published, int(course.version), text)
