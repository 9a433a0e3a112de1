"""Courses: who sees them, who writes them."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from chalicelib.adapters import sqs
from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Busy, Forbidden, Invalid, NotAuthenticated, NotFound, PreconditionFailed
from chalicelib.core.pagination import Page, PageRequest, fitted, turn_to
from chalicelib.core.roles import Role
from chalicelib.models import course_listings, ledger
from chalicelib.models.base import ConditionFailed, retried, transact
from chalicelib.models.course_listings import CourseListRow
from chalicelib.models.courses import DELETED, Course
from chalicelib.models.ledger import LedgerEntry
from chalicelib.models.users import User
from chalicelib.services import course_cache

ORDERINGS = {"created_at": course_listings.by_date, "price": course_listings.by_price}

Versions = frozenset[int] | None
"""The versions that a caller takes for the present one; None for any."""


def may_see(visitor: Caller | None, course: Course) -> bool:
    """Published ones everybody; drafts their owner and admins."""
    return course.is_published or (visitor is not None and may_write(visitor, course))


def may_write(caller: Caller, course: Course) -> bool:
    """The owner, while they are an instructor, and admins."""
    return caller.is_admin or (caller.role is Role.INSTRUCTOR and course.owner_id == caller.id)


def create(caller: Caller, fields: Mapping[str, Any], now: datetime | None = None) -> Course:
    """Make a course, in all its lists at once. ``fields`` are title, description, price_cents and is_published.

    Raises Forbidden for a student, NotAuthenticated for who is erased meanwhile.
    """
    if caller.role not in (Role.ADMIN, Role.INSTRUCTOR):
        raise Forbidden("Only instructors and admins make courses.")
    moment = clock.rfc3339(now or clock.now())
    course = Course(
        ids.entity(), owner_id=caller.id, owner=caller.username, created_at=moment, updated_at=moment, **fields
    )
    try:
        with course_cache.changing(course):
            transact(lambda transaction: _write(transaction, None, course, moment, Course.id.does_not_exist()))
    except ConditionFailed as error:
        raise NotAuthenticated("The account of this token is gone.") from error
    return course


def read(visitor: Caller | None, course_id: str) -> Course:
    """The course, through the cache.

    Raises NotFound when there is none that the visitor may know of.
    """
    return _seen(visitor, course_cache.find(course_id) if ids.is_entity(course_id) else None)


def current(visitor: Caller | None, course_id: str) -> Course:
    """The course, from the database: for what is about to be written, and for what hangs on it.

    Raises as `read` does.
    """
    return _seen(visitor, Course.find(course_id) if ids.is_entity(course_id) else None)


def _seen(visitor: Caller | None, course: Course | None) -> Course:
    if course is None or not may_see(visitor, course):
        raise NotFound("There is no such course.")
    return course


def update(caller: Caller, course_id: str, fields: Mapping[str, Any], versions: Versions) -> Course:
    """Change some fields of a course. What others change meanwhile, and these fields leave alone, is kept.

    Raises NotFound, Forbidden, and PreconditionFailed when it has none of the expected versions.
    """

    def change() -> Course:
        old = _to_write(caller, course_id, versions)
        if all(getattr(old, name) == value for name, value in fields.items()):
            return old
        moment = clock.rfc3339(clock.now())
        new = Course(**(old.attribute_values | dict(fields) | {"updated_at": moment, "version": old.version + 1}))
        try:
            with course_cache.changing(old, new):
                transact(lambda transaction: _write(transaction, old, new, moment, Course.version == old.version))
        except ConditionFailed:
            if User.find(old.owner_id) is None:
                raise NotFound("The course's owner is gone, and it is about to go too.") from None
            raise
        _forget_words(old, new)
        return new

    return retried(change)


def delete(caller: Caller, course_id: str, versions: Versions) -> None:
    """Delete a course: gone for every reader at once; its lessons and enrollments follow by the queue.

    Raises as `update` does.
    """

    def bury() -> None:
        course = _to_write(caller, course_id, versions)
        moment = clock.rfc3339(clock.now())

        def write(transaction: TransactWrite) -> None:
            for row in course_listings.rows_of(course):
                transaction.delete(row)
            for entry in LedgerEntry.of_deleted(ledger.COURSE, course.id, course.created_at, moment):
                transaction.save(entry)
            if course.is_published:
                transaction.save(LedgerEntry.at(moment, ledger.UNPUBLISHED, course.id))
                transaction.update(User(course.owner_id), [User.published_courses.add(-1)])
            content = [Course.title, Course.description, Course.owner]
            transaction.update(
                course,
                [
                    Course.deleted_at.set(moment),
                    Course.ended.set(DELETED),
                    Course.version.add(1),
                    *(part.remove() for part in content),
                ],
                condition=Course.version == course.version,
            )

        with course_cache.changing(course):
            transact(write)

    retried(bury)
    sqs.send(sqs.DELETIONS, sqs.deletion_message(sqs.COURSE, course_id))


def browse(visitor: Caller | None, request: PageRequest, *, ordering: str, own: bool) -> Page[Course]:
    """A page of the courses that the visitor may see: their own ones only when ``own``.

    Raises Invalid when an anonymous visitor asks for their own.
    """
    if own and visitor is None:
        raise Invalid.field("owner", "anonymous", "Nobody is logged in: there is no `me`.")
    names = [course_listings.owned_by(visitor.id)] if own and visitor else lists_of(visitor)
    partitions = [ORDERINGS[ordering.lstrip("-")](name) for name in names]

    def load() -> Page[Course]:
        return _page(visitor, request, partitions, ascending=not ordering.startswith("-"))

    return course_cache.page(ordering, request, load) if names == [course_listings.PUBLISHED] else load()


def search(request: PageRequest, text: str) -> Page[Course]:
    """A page of the published courses that have all the words, newest first.

    One word's list is walked, and the courses themselves say whether they have the others: so a
    page can be short, and even empty, with more to come.
    """
    wanted = sorted(course_listings.distinct_words(text))  # the same search in any order
    if not wanted or len(wanted) > course_listings.MAX_WORDS:
        return Page([], None, None)
    rarest = max(wanted, key=len)  # likely

    def load() -> Page[Course]:
        page = _page(None, request, [course_listings.with_word(rarest)], ascending=False)
        matching = [c for c in page.items if {*wanted} <= {*course_listings.words(c.title, c.description)}]
        return Page(matching, page.next, page.previous)

    return course_cache.page(f"search {' '.join(wanted)}", request, load)


def lists_of(visitor: Caller | None) -> list[str]:
    """The lists that together have what a visitor may see, and nothing else."""
    if visitor is not None and visitor.is_admin:
        return [course_listings.ALL]
    if visitor is not None and visitor.role is Role.INSTRUCTOR:
        return [course_listings.PUBLISHED, course_listings.owned_by(visitor.id)]
    return [course_listings.PUBLISHED]


def _page(visitor: Caller | None, request: PageRequest, partitions: list[str], *, ascending: bool) -> Page[Course]:
    """The courses of a page of lists, fewer if they would be too large for one answer.

    The lists say where to look; the courses themselves say who may see them.
    """

    def fetch(after: str | None, back: bool, limit: int) -> list[CourseListRow]:
        return CourseListRow.page(partitions, forward=ascending != back, after=after, limit=limit)

    rows = turn_to(request, fetch)
    found = Course.find_all([row.course_id for row in rows.items])
    sizes = [len(json.dumps(found[row.course_id].description)) if row.course_id in found else 0 for row in rows.items]
    rows = fitted(rows, sizes, request)
    courses = [found[row.course_id] for row in rows.items if row.course_id in found]
    return Page([course for course in courses if may_see(visitor, course)], rows.next, rows.previous)


def _to_write(caller: Caller, course_id: str, versions: Versions) -> Course:
    course = current(caller, course_id)
    if not may_write(caller, course):
        raise Forbidden("Only the owner of the course and admins may change it.")
    if versions is not None and course.version not in versions:
        raise PreconditionFailed("The course has changed since you read it.")
    return course


def _write(transaction: TransactWrite, old: Course | None, new: Course, moment: str, condition: Condition) -> None:
    """Put a course, its rows in the lists, and what follows from its publication; at most 80 items.

    The rows of words that it has no more are too many for one transaction with the new ones: they
    go afterwards, unless it is no longer published. Until then a search finds a row, but no match.
    """
    had = {row.key: row for row in course_listings.rows_of(old)} if old else {}
    has = {row.key: row for row in course_listings.rows_of(new)}
    for key, row in had.items():
        if key not in has and not (new.is_published and key[0].startswith(course_listings.with_word(""))):
            transaction.delete(row)
    transaction.save(new, condition=condition)
    for key, row in has.items():
        if key not in had:
            transaction.save(row)
    published = int(new.is_published) - int(old.is_published if old else False)
    if published:
        event = ledger.PUBLISHED if published > 0 else ledger.UNPUBLISHED
        transaction.save(LedgerEntry.at(moment, event, new.id))
        transaction.update(User(new.owner_id), [User.published_courses.add(published)], condition=User.is_there())
    elif old is None:
        transaction.condition_check(User, new.owner_id, condition=User.is_there())


def _forget_words(old: Course, new: Course) -> None:
    """Take away the rows of words that a course that stays published has no more, if nobody wrote since."""
    if not (old.is_published and new.is_published):
        return
    has = {row.key for row in course_listings.rows_of(new)}
    stale = [row for row in course_listings.rows_of(old) if row.key not in has and row.list.startswith("word#")]
    if not stale:
        return

    def write(transaction: TransactWrite) -> None:
        transaction.condition_check(Course, new.id, condition=Course.version == new.version)
        for row in stale:
            transaction.delete(row)

    try:
        transact(write)
    except (ConditionFailed, Busy):
        return  # the course is written; a row too many finds nothing
