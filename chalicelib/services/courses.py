"""Courses: who sees them, who writes them."""

from datetime import datetime
from decimal import Decimal

from pynamodb.transactions import TransactWrite

from chalicelib import clock, ids
from chalicelib.callers import Caller
from chalicelib.errors import Forbidden, Invalid, NotFound
from chalicelib.models import course_lists
from chalicelib.models.base import transact
from chalicelib.models.course_lists import CourseListRow
from chalicelib.models.courses import Course
from chalicelib.models.ledger import LedgerEntry
from chalicelib.paging import Page, PageRequest, turn_to
from chalicelib.roles import Role

ORDERINGS = {"created_at": course_lists.by_date, "price": course_lists.by_price}


def may_see(visitor: Caller | None, course: Course) -> bool:
    """Published ones everybody; drafts their owner and admins."""
    if course.is_published:
        return True
    return visitor is not None and (visitor.is_admin or course.owner_id == visitor.id)


def create(
    caller: Caller,
    *,
    title: str,
    description: str,
    price: Decimal,
    is_published: bool,
    now: datetime | None = None,
) -> Course:
    """Make a course, in all its lists at once.

    Raises Forbidden for a student.
    """
    if caller.role not in (Role.ADMIN, Role.INSTRUCTOR):
        raise Forbidden("Only instructors and admins make courses.")
    moment = clock.rfc3339(now or clock.now())
    course = Course(
        ids.entity(),
        title=title,
        description=description,
        price_cents=int(price * 100),
        is_published=is_published,
        owner_id=caller.id,
        owner=caller.username,
        created_at=moment,
        updated_at=moment,
    )

    def write(transaction: TransactWrite) -> None:
        transaction.save(course)  # its version says: only if there is none of this id
        for row in course_lists.rows_of(course):
            transaction.save(row)
        if course.is_published:
            transaction.save(LedgerEntry.published(course.id, moment))

    transact(write)
    return course


def read(visitor: Caller | None, course_id: str) -> Course:
    """The course.

    Raises NotFound when there is none that the visitor may know of.
    """
    course = Course.find(course_id) if ids.is_entity(course_id) else None
    if course is None or not may_see(visitor, course):
        raise NotFound("There is no such course.")
    return course


def browse(visitor: Caller | None, request: PageRequest, *, ordering: str, own: bool) -> Page[Course]:
    """A page of the courses that the visitor may see: their own ones only when ``own``.

    Raises Invalid when an anonymous visitor asks for their own.
    """
    partition = ORDERINGS[ordering.lstrip("-")](_list_for(visitor, own=own))
    ascending = not ordering.startswith("-")

    def fetch(after: str | None, back: bool, limit: int) -> list[CourseListRow]:
        return CourseListRow.page(partition, forward=ascending != back, after=after, limit=limit)

    page = turn_to(request, fetch)
    courses = Course.find_all([row.course_id for row in page.items])
    # The list says where to look; what may be seen is decided on the courses themselves.
    return Page([course for course in courses if may_see(visitor, course)], page.next, page.previous)


def _list_for(visitor: Caller | None, *, own: bool) -> str:
    if own:
        if visitor is None:
            raise Invalid.field("owner", "anonymous", "Nobody is logged in: there is no `me`.")
        return course_lists.owned_by(visitor.id)
    if visitor is not None and visitor.is_admin:
        return course_lists.ALL
    return course_lists.PUBLISHED
