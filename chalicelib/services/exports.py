"""Export of all personal data of a user, in pages that each fit into one response."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from chalicelib.core import pagination
from chalicelib.core.caller import Caller
from chalicelib.core.pagination import Cursor
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.lessons import Lesson
from chalicelib.models.sessions import Session
from chalicelib.models.tickets import Ticket
from chalicelib.models.users import User
from chalicelib.services import sessions

MAX_ITEMS = 2000
_COURSE_BATCH_SIZE = 100  # BatchGetItem's limit
_ITEM_BYTES = 500  # of an item without its long text

Item = Session | KnownAddress | Ticket | AccountEmail | Course | Lesson | Enrollment
ItemType = TypeVar("ItemType", Session, KnownAddress, Ticket, AccountEmail, Course, Lesson, Enrollment)
_Items = Iterator[tuple[str, Item]]


@dataclass
class ExportPage:
    """The user, and a page of their data."""

    user: User
    items: list[Item] = field(default_factory=list)
    next_cursor: Cursor | None = None

    def of_type(self, item_type: type[ItemType]) -> list[ItemType]:
        """Return the items of one type."""
        return [item for item in self.items if isinstance(item, item_type)]


def export(caller: Caller, cursor: Cursor | None) -> ExportPage:
    """Return the personal data of the caller from a cursor on: for nearly all users in one page.

    Raises:
        NotAuthenticated: The caller's session was revoked.
    """
    page = ExportPage(sessions.require_active_session(caller))
    sort_key, size = cursor.sort_key if cursor else "", 0
    for item_key, item in _items(caller.id, sort_key):
        size += _ITEM_BYTES + len(json.dumps(_long_text(item)))
        if page.items and (len(page.items) == MAX_ITEMS or size > pagination.MAX_PAGE_BYTES):
            page.next_cursor = Cursor(sort_key)
            break
        page.items.append(item)
        sort_key = item_key
    return page


def _items(user_id: str, sort_key: str) -> _Items:
    """Yield the items after a sort key, each with its own: ``<section>|<sort key in the section>``."""
    section, _, after = sort_key.partition("|")
    names = [*_SECTIONS]
    for name in names[names.index(section) if section else 0 :]:
        for item_key, item in _SECTIONS[name](user_id, after):
            yield f"{name}|{item_key}", item
        after = ""


def _sessions(user_id: str, after: str) -> _Items:
    return ((session.id, session) for session in Session.all_of_user(user_id, after))


def _known_addresses(user_id: str, after: str) -> _Items:
    addresses = KnownAddress.all_of_user(user_id)
    return ((address.network, address) for address in addresses if address.network > after)


def _tickets(user_id: str, after: str) -> _Items:
    tickets = sorted(Ticket.all_of_user(user_id), key=lambda ticket: ticket.kind)
    return ((ticket.kind, ticket) for ticket in tickets if ticket.kind > after)


def _account_emails(user_id: str, after: str) -> _Items:
    return ((str(email.email_id), email) for email in AccountEmail.all_of_user(user_id, after))


def _courses(user_id: str, after: str) -> _Items:
    """Yield the courses, oldest first, each followed by its lessons: ``<sort key of the course>|<lesson>``."""
    start, _, lesson_after = after.partition("|")
    for sort_key, course in _owned_courses(user_id, start):
        if sort_key != start:
            lesson_after = ""
            yield f"{sort_key}|", course
        if course.lessons_count:
            for lesson in Lesson.all_of_course(course.id, lesson_after):
                yield f"{sort_key}|{lesson.suffix}", lesson


def _owned_courses(user_id: str, start: str) -> Iterator[tuple[str, Course]]:
    rows = iter(CourseListing.of_owner(user_id, start))
    while batch := [*islice(rows, _COURSE_BATCH_SIZE)]:
        courses = Course.find_all([row.course_id for row in batch])
        yield from ((row.sort_key, courses[row.course_id]) for row in batch if row.course_id in courses)


def _enrollments(user_id: str, after: str) -> _Items:
    return ((enrollment.course, enrollment) for enrollment in Enrollment.all_of_student(user_id, after))


def _long_text(item: Item) -> str:
    if isinstance(item, Course):
        return str(item.description)
    return str(item.content) if isinstance(item, Lesson) else ""


_SECTIONS: dict[str, Callable[[str, str], _Items]] = {
    "sessions": _sessions,
    "known_addresses": _known_addresses,
    "tickets": _tickets,
    "account_emails": _account_emails,
    "courses": _courses,
    "enrollments": _enrollments,
}
