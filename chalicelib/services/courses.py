"""Courses: who may view and edit them, and what changes do."""

from __future__ import annotations  # those of inner functions would be evaluated at each call

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from chalicelib.adapters import sqs
from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock, ids
from chalicelib.core.audit import Action
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Forbidden, InvalidInput, NotAuthenticated, NotFound, PreconditionFailed
from chalicelib.core.pagination import Page, PageRequest, paginate, trim_to_size
from chalicelib.core.roles import Role
from chalicelib.core.versions import ExpectedVersions
from chalicelib.models import course_listings
from chalicelib.models.base import adding, retry_stale_reads
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course, OwnerDeleted, WriterOutdated
from chalicelib.services import audit, capacity, course_cache, course_list_tags, course_search
from chalicelib.services.rendering import (
    LessonsOfCourse,
    RenderedCourse,
    RenderedCoursePage,
    render_course_page,
    text_size,
)

ORDERINGS = {"created_at": course_listings.by_date, "price": course_listings.by_price}


def can_view(caller: Caller | None, course: Course | RenderedCourse | LessonsOfCourse) -> bool:
    """Return whether the caller may view a course: published courses are public, drafts for those who can edit."""
    return course.is_published or (caller is not None and can_edit(caller, course))


def can_edit(caller: Caller, course: Course | RenderedCourse | LessonsOfCourse) -> bool:
    """Return whether the caller may edit a course: its owner, while they are an instructor, and admins."""
    return caller.is_admin or (caller.role is Role.INSTRUCTOR and course.owner_id == caller.id)


def create(
    caller: Caller, fields: Mapping[str, Any], now: datetime | None = None, course_id: str | None = None
) -> Course:
    """Create a course, owned by the caller.

    ``fields`` are title, description, price_cents, is_published, and those of enrollment that have not their defaults.

    Raises:
        AlreadyCreated: The ID was given, and a course has or had it.
        InvalidInput: Enrollment would close before it opens.
        Forbidden: The caller is a student.
        NotAuthenticated: The caller was erased or deactivated, or has another role now.
    """
    if caller.role not in (Role.ADMIN, Role.INSTRUCTOR):
        raise Forbidden("Only instructors and admins can create courses.")
    at = clock.format_timestamp(now or clock.now())
    course_id = course_id or ids.new_id()
    identity: dict[str, Any] = {"owner_id": caller.id, "owner": caller.username, "created_at": at, "updated_at": at}
    course = Course(course_id, **identity, never_published=not fields["is_published"], **fields)
    _validate_window(course)
    try:
        with course_cache.invalidating(None, course):
            course.create(caller, adding(*capacity.counters_of_new(course)))
    except WriterOutdated as error:
        raise NotAuthenticated.outdated() from error
    return course


def get(caller: Caller | None, course_id: str) -> RenderedCourse:
    """Return a course, from the cache.

    Raises:
        NotFound: It does not exist, or the caller may not view it.
    """
    course = course_cache.get(course_id) if ids.is_valid_id(course_id) else None
    if course is None or not can_view(caller, course):
        raise _not_found()
    return course


def get_uncached(caller: Caller | None, course_id: str) -> Course:
    """Return a course from the database, for writes to it and to its dependents.

    Raises:
        NotFound: It does not exist, or the caller may not view it.
    """
    course = Course.find(course_id) if ids.is_valid_id(course_id) else None
    if course is None or not can_view(caller, course):
        raise _not_found()
    return course


def update(caller: Caller, course_id: str, fields: Mapping[str, Any], versions: ExpectedVersions) -> Course:
    """Change fields of a course. Concurrent changes of other fields are kept.

    Raises:
        NotFound: It does not exist, or the caller may not view it.
        Forbidden: The caller may not edit it.
        PreconditionFailed: It has none of the expected versions.
        InvalidInput: Enrollment would close before it opens.
        Conflict: The capacity cannot be changed to that of the fields.
        NotAuthenticated: The caller, who publishes it, was erased or deactivated, or has another role now.
    """

    def attempt() -> Course:
        old = _load_for_update(caller, course_id, versions)
        if all(getattr(old, name) == value for name, value in fields.items()):
            return old
        changes = dict(fields) | {"updated_at": clock.timestamp(), "version": old.version + 1}
        new = Course(**(old.attribute_values | changes))
        new.never_published = old.never_published and not new.is_published
        _validate_window(new)
        rows = [*audit.course_entries(caller, old, fields), *capacity.change(old, new)]
        with course_cache.invalidating(old, new):
            new.replace(old, caller, adding(*rows))
        capacity.request_settlement(old, new)
        return new

    try:
        return retry_stale_reads(attempt)
    except OwnerDeleted:  # the cascade of the owner's erasure is about to delete the course
        raise _not_found() from None
    except WriterOutdated as error:
        raise NotAuthenticated.outdated() from error


def delete(caller: Caller, course_id: str, versions: ExpectedVersions) -> None:
    """Delete a course. Readers do not find it from then on; its lessons and enrollments are deleted asynchronously.

    Raises:
        NotFound, Forbidden, PreconditionFailed: As `update` does.
    """

    def attempt() -> None:
        course = _load_for_update(caller, course_id, versions)
        entries = audit.on_course(caller, course, Action.COURSE_DELETED, course_id)
        with course_cache.invalidating(course, None):
            course.soft_delete(clock.timestamp(), adding(*entries))

    retry_stale_reads(attempt)
    sqs.send(sqs.DELETIONS, sqs.deletion_message(CascadeTarget.COURSE, course_id))


def list_courses(caller: Caller | None, request: PageRequest, *, ordering: str, own: bool) -> RenderedCoursePage:
    """Return a page of the courses that the caller may view, or of the caller's own.

    Raises:
        InvalidInput: An anonymous caller requests their own courses.
    """
    if own and caller is None:
        raise InvalidInput.for_field("owner", "anonymous", "`owner=me` requires authentication.")
    names = [course_listings.owned_by(caller.id)] if own and caller else visible_listings(caller)
    partitions = [ORDERINGS[ordering.lstrip("-")](name) for name in names]

    load = partial(_load_page, caller, request, partitions, ascending=not ordering.startswith("-"))
    if names != [course_listings.PUBLISHED]:
        return render_course_page(load())
    tags = partial(course_list_tags.tags_of_page, ordering, request)
    return course_cache.get_page(ordering, request, load, tags)


def search(request: PageRequest, text: str) -> RenderedCoursePage:
    """Return a page of the published courses that have all words of the text, newest first."""
    tokens = sorted(course_listings.tokenize(text))  # the order of the words makes no difference
    if not tokens or len(tokens) > course_listings.MAX_KEYWORDS:
        return RenderedCoursePage("", None, None)

    load = partial(course_search.load_page, request, tokens)
    tags = partial(course_list_tags.tags_of_search, tokens)
    return course_cache.get_page(f"search {' '.join(tokens)}", request, load, tags)


def visible_listings(caller: Caller | None) -> list[str]:
    """Return the lists that together contain exactly the courses that a caller may view."""
    if caller is not None and caller.is_admin:
        return [course_listings.ALL]
    if caller is not None and caller.role is Role.INSTRUCTOR:
        return [course_listings.PUBLISHED, course_listings.owned_by(caller.id)]
    return [course_listings.PUBLISHED]


def _validate_window(course: Course) -> None:
    if course.opens_at and course.closes_at and course.opens_at >= course.closes_at:
        raise InvalidInput.for_field("closes_at", "not_after_opens_at", "`closes_at` must be after `opens_at`.")


def _load_page(caller: Caller | None, request: PageRequest, partitions: list[str], *, ascending: bool) -> Page[Course]:
    """Return the courses of a page of lists, as many as fit into one response.

    The rows of a list can be older than the courses, so that the courses decide whether the caller may view them.
    """

    def fetch(after: str | None, backward: bool, limit: int) -> list[CourseListing]:
        return CourseListing.page(partitions, ascending=ascending != backward, after=after, limit=limit)

    rows = paginate(request, fetch)
    courses = Course.find_all([row.course_id for row in rows.items])
    sizes = [text_size(courses[row.course_id]) if row.course_id in courses else 0 for row in rows.items]
    rows = trim_to_size(rows, sizes, request)
    page = [courses[row.course_id] for row in rows.items if row.course_id in courses]
    visible = [course for course in page if can_view(caller, course)]
    return Page(visible, rows.next_cursor, rows.previous_cursor, rows.read_up_to)


def _load_for_update(caller: Caller, course_id: str, versions: ExpectedVersions) -> Course:
    course = get_uncached(caller, course_id)
    if not can_edit(caller, course):
        raise Forbidden("Only the course's owner and admins can change it.")
    if versions is not None and course.version not in versions:
        raise PreconditionFailed("The course has changed since you read it.")
    return course


def _not_found() -> NotFound:
    return NotFound("Course not found.")
