"""The capacity of courses and the size of their waitlists: what a change of them changes besides the course."""

from chalicelib.adapters import sqs
from chalicelib.core.errors import Conflict
from chalicelib.models.base import AddableRow
from chalicelib.models.courses import Course
from chalicelib.models.place_counters import UNLIMITED, PlaceCounter, Resize


def counters_of_new(course: Course) -> list[AddableRow]:
    """Return the counters of a course that is created with a capacity, to be saved with it."""
    if not course.capacity:
        return []
    course.has_place_counter = True
    return [PlaceCounter.new(course.id, course.capacity, course.waitlist)]


def change(old: Course, new: Course) -> list[AddableRow]:
    """Return the rows that a change of the capacity or the waitlist of a course changes.

    Raises:
        Conflict: Students could enroll without a limit before, or more than the new capacity are enrolled or wait.
    """
    places, waiting = _places(new) - _places(old), int(new.waitlist - old.waitlist)
    if not old.has_place_counter:
        if new.capacity and not old.never_published:
            message = "A course that was published without a capacity cannot get one: students may be enrolled."
            raise Conflict.for_field("capacity", "has_enrollments", message)
        return counters_of_new(new)
    counter = PlaceCounter.find(new.id) if places or waiting else None
    if counter is None:
        return []
    resize = Resize(counter, places, waiting)
    if not resize.is_possible:
        message = "So many places are not free: students who are enrolled or wait would not fit."
        raise Conflict.for_field("capacity", "places_taken", message)
    return [resize]


def request_settlement(old: Course, new: Course) -> None:
    """Request that waiting students are enrolled, if a change of their course may allow it."""
    names = ("capacity", "closes_at", "is_published")
    if new.has_place_counter and any(getattr(old, name) != getattr(new, name) for name in names):
        sqs.send(sqs.WAITLIST, sqs.waitlist_message(new.id))


def _places(course: Course) -> int:
    return int(course.capacity or UNLIMITED)
