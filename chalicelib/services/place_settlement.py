"""Settlement of place numbers: free places are given to the students who wait, in the order of their numbers.

Each number is settled once, in order, as far as the capacity reaches: who waits is enrolled, and a number that no
student has is counted as free, so that the next one gets its place. It may run twice, late, and concurrently.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.retry_policy import UNUSED_NUMBER_SECONDS
from chalicelib.models import places, waitlist
from chalicelib.models.base import add_nothing
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.places import Place, PlaceState
from chalicelib.observability.logs import event_log
from chalicelib.services import eligibility

BATCH_SIZE = 100


@dataclass
class _Batch:
    """Numbers that are settled together."""

    end: int  # the last of them
    freed: int = 0  # how many of them no student has
    left: int = 0  # how many of those had students who left
    admitted: list[Enrollment] = field(default_factory=list)
    is_paused: bool = False  # whether the next number is of a student who waits, while none may be enrolled
    is_next_unused: bool = False  # whether the next number was drawn by a request that may still use it


def settle(course_id: str, void_through: int) -> Generator[int, None, None]:
    """Settle the numbers of a course, and yield how many students each step enrolled.

    Unused numbers up to ``void_through`` are void. At a later one, settlement ends, and is requested again for when
    the request that drew it has had its time. No student is enrolled while enrollment is closed or the course a draft.
    """
    has_unused = False
    while not has_unused and (counter := PlaceCounter.find(course_id)) and counter.settled < counter.unsettled_end:
        course = Course.find(course_id)
        if course is None:
            return
        batch = _settle_batch(counter, course, void_through)
        is_recorded = batch.end == counter.settled or counter.settle(batch.end, batch.freed, batch.left)
        _send_emails(batch)
        yield len(batch.admitted) if is_recorded else 0
        if not is_recorded and _has_advanced(counter):
            # Another process continues with the next numbers; or this one recorded it, and the response was lost.
            _request_later(course_id, void_through)
            return
        has_unused = is_recorded and batch.is_next_unused
        if is_recorded and batch.is_paused:
            break
    while not has_unused and (counter := PlaceCounter.find(course_id)) and counter.unchecked_start <= counter.drawn:
        has_unused = _check_batch(counter, void_through)
        yield 0
    if counter and has_unused:
        _request_later(course_id, int(counter.drawn))


def _settle_batch(counter: PlaceCounter, course: Course, void_through: int) -> _Batch:
    """Enroll who waits, and declare unused numbers void, up to a number that cannot be settled now."""
    batch, now = _Batch(int(counter.settled)), clock.timestamp()
    can_admit = course.is_published and not (course.closes_at and now >= course.closes_at)
    first, last = batch.end + 1, min(batch.end + BATCH_SIZE, counter.unsettled_end)
    rows = Place.between(course.id, first, last)
    for number in range(first, last + 1):
        place = rows.get(number)
        if place is None:
            batch.is_next_unused = number > void_through
            if batch.is_next_unused or not Place.void(course.id, number):
                break  # in the second case, it was used after the rows were read
            batch.freed += 1
        elif place.state == PlaceState.WAITING:
            batch.is_paused = not can_admit
            if batch.is_paused or not _admit(place, batch, now):
                break  # in the second case, the student left after the rows were read, or may not enroll
        elif place.state != PlaceState.TAKEN:
            batch.freed += 1
            batch.left += place.state == PlaceState.LEFT
        batch.end = number
    return batch


def _admit(place: Place, batch: _Batch, now: str) -> bool:
    student = str(place.student)
    conditions = partial(eligibility.add_account_condition, student)
    try:
        row = waitlist.admit(student, str(place.course), str(place.suffix), now, conditions)
    except waitlist.NotAdmitted:
        if entry := Enrollment.find(place.enrollment_id):
            places.delete(entry, now, add_nothing)
            event_log.info("Waiting entry deleted: the student may not enroll any more", entry=place.enrollment_id)
        return False
    if row is None:
        place.void_without_entry()
        return False
    batch.admitted.append(row)
    return True


def _send_emails(batch: _Batch) -> None:
    messages = [sqs.email_message(row.email_kind, row.id, row.request_id) for row in batch.admitted]
    for _ in sqs.send_batches(sqs.EMAILS, messages):
        pass


def _has_advanced(counter: PlaceCounter) -> bool:
    """Return whether numbers were settled since the counters were read."""
    current = PlaceCounter.find(counter.course)
    return current is not None and current.settled > counter.settled


def _request_later(course_id: str, void_through: int) -> None:
    message = sqs.waitlist_message(course_id, void_through)
    sqs.send(sqs.WAITLIST, message, DelaySeconds=UNUSED_NUMBER_SECONDS)


def _check_batch(counter: PlaceCounter, void_through: int) -> bool:
    """Give back unused numbers without a place, which take up room of the waitlist.

    Return whether there are others, which may still be used.
    """
    first = counter.unchecked_start
    last = int(min(first + BATCH_SIZE - 1, counter.drawn))
    unused = {*range(first, last + 1)} - Place.between(counter.course, first, last).keys()
    for number in unused:
        if number <= void_through:
            places.give_back(counter.course, number)
    if any(number > void_through for number in unused):
        return True
    counter.mark_checked(last)
    return False
