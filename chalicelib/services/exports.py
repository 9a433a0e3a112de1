"""All that is held about a user, in parts that each fit into one answer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from chalicelib.core import pagination
from chalicelib.core.caller import Caller
from chalicelib.core.pagination import Place
from chalicelib.models import course_listings
from chalicelib.models.course_listings import CourseListRow
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.services import sessions

MAX_ITEMS = 2000
_ITEM_BYTES = 500  # of an item without its long text

Item = Session | Course | Lesson | Enrollment
Kind = TypeVar("Kind", Session, Course, Lesson, Enrollment)
_Found = Iterator[tuple[str, Item]]


@dataclass
class Part:
    """The user, and some of what is theirs."""

    user: User
    items: list[Item] = field(default_factory=list)
    next: Place | None = None
    """Where it goes on, if this is not all."""

    def every(self, kind: type[Kind]) -> list[Kind]:
        """The items of a kind."""
        return [item for item in self.items if isinstance(item, kind)]


def export(caller: Caller, place: Place | None) -> Part:
    """What is held about the caller, from a place on; nearly always all of it.

    Raises NotAuthenticated when their session has ended.
    """
    part = Part(sessions.live_user(caller))
    position, size = place.position if place else "", 0
    for after, item in _items(caller.id, position):
        size += _ITEM_BYTES + len(json.dumps(_text_of(item)))
        if part.items and (len(part.items) == MAX_ITEMS or size > pagination.MAX_PAGE_BYTES):
            part.next = Place(position)
            break
        part.items.append(item)
        position = after
    return part


def _items(user_id: str, position: str) -> _Found:
    """Everything behind a position, each with its own: ``<section>|<position in it>``."""
    section, _, after = position.partition("|")
    names = [*_SECTIONS]
    for name in names[names.index(section) if section else 0 :]:
        for found, item in _SECTIONS[name](user_id, after):
            yield f"{name}|{found}", item
        after = ""


def _sessions(user_id: str, after: str) -> _Found:
    for session in Session.query(user_id, Session.id > after if after else None, consistent_read=True):
        yield session.id, session


def _courses(user_id: str, after: str) -> _Found:
    """The courses, oldest first, each followed by its lessons: ``<course's position>|<lesson>``."""
    at, _, lesson_after = after.partition("|")
    partition = course_listings.by_date(course_listings.owned_by(user_id))
    for row in CourseListRow.query(partition, CourseListRow.position >= at if at else None, consistent_read=True):
        if row.position != at:
            course = Course.find(row.course_id)
            if course is None:
                continue
            lesson_after = ""
            yield f"{row.position}|", course
        condition = Lesson.nonce > lesson_after if lesson_after else None
        for lesson in Lesson.query(row.course_id, condition, consistent_read=True):
            yield f"{row.position}|{lesson.nonce}", lesson


def _enrollments(user_id: str, after: str) -> _Found:
    for enrollment in Enrollment.query(user_id, Enrollment.course > after if after else None, consistent_read=True):
        yield enrollment.course, enrollment


def _text_of(item: Item) -> str:
    if isinstance(item, Course):
        return str(item.description)
    return str(item.content) if isinstance(item, Lesson) else ""


_SECTIONS: dict[str, Callable[[str, str], _Found]] = {
    "sessions": _sessions,
    "courses": _courses,
    "enrollments": _enrollments,
}
