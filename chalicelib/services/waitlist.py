"""Waitlists: who waits for a place in a course, in which position, and how students leave."""

from collections.abc import Sequence
from functools import partial

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Forbidden, InvalidInput, NotFound
from chalicelib.core.pagination import Page, PageRequest, paginate
from chalicelib.core.roles import Role
from chalicelib.models import waitlist
from chalicelib.models.base import access_together
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.places import Place
from chalicelib.models.waitlist import WaitlistEntry
from chalicelib.services import courses, withdrawals

MAX_COUNTED_NUMBERS = 1000  # some 34 read units


def get(caller: Caller, entry_id: str) -> WaitlistEntry:
    """Return a waiting entry.

    Raises:
        NotFound: It does not exist, or the caller is neither its student, nor the course's owner, nor an admin.
    """
    row = Enrollment.find(entry_id)
    if row is None or not row.is_waiting:
        raise _not_found()
    if row.student == caller.id or _can_edit(caller, row.course):
        return entry_of(row)
    raise _not_found()


def entry_of(row: Enrollment) -> WaitlistEntry:
    """Return the waiting entry of a row, with its position."""
    return WaitlistEntry.of(row, _position(row))


def list_entries(caller: Caller, request: PageRequest, course_id: str | None) -> Page[WaitlistEntry]:
    """Return a page of the entries of a course, in the order of places, or a student's own, sorted by course.

    Raises:
        InvalidInput: The caller is not a student, and names no course.
        NotFound: The course does not exist, or the caller may not view it.
        Forbidden: The caller may not edit the course.
    """
    if caller.role is Role.STUDENT:
        return _list_own(caller, request, course_id)
    if course_id is None:
        raise InvalidInput.for_field("course", "required", "Name the course whose waitlist you want.")
    if not courses.can_edit(caller, courses.get_uncached(caller, course_id)):
        raise Forbidden("Only the course's owner and admins can see its waitlist.")
    return _list_of_course(request, course_id)


def leave(caller: Caller, entry_id: str) -> None:
    """Delete a waiting entry.

    Raises:
        Forbidden: The caller is an instructor.
        NotFound: It does not exist, or is another student's.
    """
    if caller.role is Role.INSTRUCTOR:
        raise Forbidden("Only the student and admins can delete a waiting entry.")
    row = Enrollment.find(entry_id)
    if row is None or not row.is_waiting or not (caller.is_admin or row.student == caller.id):
        raise _not_found()
    if not withdrawals.end(caller, row):
        raise _not_found()


def _can_edit(caller: Caller, course_id: str) -> bool:
    try:
        return courses.can_edit(caller, courses.get_uncached(caller, course_id))
    except NotFound:
        return False


def _list_own(caller: Caller, request: PageRequest, course_id: str | None) -> Page[WaitlistEntry]:
    if course_id is not None:
        row = Enrollment.find_by_student_and_course(caller.id, course_id) if course_id else None
        return Page([entry_of(row)] if row and row.is_waiting else [], None, None)

    def fetch(after: str | None, backward: bool, limit: int) -> list[WaitlistEntry]:
        rows = waitlist.entries_of_student(caller.id, after=after, backward=backward, limit=limit)
        return access_together([PlaceCounter, Place], [partial(entry_of, row) for row in rows]) if rows else []

    return paginate(request, fetch)


def _list_of_course(request: PageRequest, course_id: str) -> Page[WaitlistEntry]:
    counter = PlaceCounter.find(course_id)
    if counter is None:
        return Page([], None, None)
    settled = int(counter.settled)

    def fetch(after: str | None, backward: bool, limit: int) -> list[WaitlistEntry]:
        number = int(after or 0)
        if backward:
            rows = Place.page_of_waiting(course_id, after=settled, backward_from=number, limit=limit)
            return _numbered(rows[::-1], settled)[::-1]
        return _numbered(
            Place.page_of_waiting(course_id, after=max(settled, number), backward_from=None, limit=limit), settled
        )

    return paginate(request, fetch)


def _numbered(rows: Sequence[Place], settled: int) -> list[WaitlistEntry]:
    """Return the entries of successive places with their positions."""
    ahead = Place.count_waiting(rows[0].course, settled, rows[0].number) if rows else 0
    return [
        WaitlistEntry(
            row.enrollment_id, row.course, str(row.student), position, str(row.since), sort_key=row.number_text
        )
        for position, row in enumerate(rows, ahead + 1)
    ]


def _position(row: Enrollment) -> int:
    """Return the position of a student: far behind, estimated, because all who wait may ask for theirs at once."""
    counter, number = PlaceCounter.find(row.course), int(row.place_number)
    if counter is None:
        return 1
    if number - counter.settled > MAX_COUNTED_NUMBERS:
        return counter.estimated_position(number)
    return Place.count_waiting(row.course, int(counter.settled), number) + 1


def _not_found() -> NotFound:
    return NotFound("Waiting entry not found.")
