"""Places of courses with a capacity: joining, and how many are left."""

from chalicelib.adapters import sqs
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, WriteContention
from chalicelib.core.retries import Backoff
from chalicelib.models import waitlist
from chalicelib.models.base import ConditionFailed, Transaction
from chalicelib.models.enrollments import AlreadyEnrolled, Enrollment
from chalicelib.models.place_counters import PlaceCounter, Places
from chalicelib.models.places import PLACE, Place, give_back
from chalicelib.observability import logs
from chalicelib.observability.logs import error_log
from chalicelib.services import courses, eligibility


class _NumberVoid(Exception):
    """The number that was drawn is void, because this request took too long."""


def get(caller: Caller | None, course_id: str) -> Places:
    """Return the places of a course, by a consistent read.

    Raises:
        NotFound: The course does not exist, or the caller may not view it.
    """
    course = courses.get(caller, course_id)
    counter = PlaceCounter.find(course_id) if course.has_place_counter else None
    return counter.places if counter else Places()


def join(student: str, course_id: str, now: str, suffix: str | None, *, can_wait: bool) -> tuple[Enrollment, int]:
    """Save the enrollment of a student in a course with a capacity, and return it.

    If the course is full and the student ``can_wait``, save and return a waiting entry, and its position.

    Raises:
        Conflict: The student is enrolled or waits already, or the course is full, or its waitlist is.
        Forbidden, NotAuthenticated, TooManyAttempts: As `eligibility.require` does.
    """
    eligibility.require(student, course_id)
    backoff = Backoff()
    while True:
        counter = PlaceCounter.draw(course_id, can_wait=can_wait)
        if counter is None:
            raise _full(can_wait)
        number = int(counter.drawn)
        if number <= counter.limit:
            row = Enrollment.new(student, course_id, now, logs.request_id.get(), suffix)
            row.place_number = number
        else:
            row = waitlist.new_entry(student, course_id, now, logs.request_id.get(), number, suffix)
        try:
            _insert(row)
        except _NumberVoid:
            backoff.wait(WriteContention())
        except Exception:
            _give_back(course_id, number)
            raise
        else:
            if row.is_waiting and counter.settled < counter.unsettled_end:
                # A number before it may be of a request that failed, which has requested no settlement.
                sqs.send(sqs.WAITLIST, sqs.waitlist_message(course_id))
            return row, counter.estimated_position(number) if row.is_waiting else 0


def _insert(row: Enrollment) -> None:
    """Save an enrollment or a waiting entry with its number. No two requests write the same items."""

    def extend(transaction: Transaction) -> None:
        eligibility.add_conditions(row.student, row.course, transaction)
        Place.of(row).add_to(transaction)

    while True:
        try:
            row.insert(extend)
            return
        except AlreadyEnrolled as error:
            raise eligibility.already_enrolled() from error
        except ConditionFailed as error:
            if PLACE in error.failed:
                raise _NumberVoid from error
            eligibility.raise_refusal(row.student, row.course, error)


def _give_back(course_id: str, number: int) -> None:
    """Give back a number whose enrollment failed, unless that was saved nevertheless. The worker does it otherwise."""
    try:
        give_back(course_id, number)
    except Exception:
        error_log.exception("A place number is not given back", course=course_id, number=number)
    sqs.send(sqs.WAITLIST, sqs.waitlist_message(course_id))


def _full(can_wait: bool) -> Conflict:
    if can_wait:
        return Conflict.for_field("course", "waitlist_full", "The course is full, and so is its waitlist.")
    return Conflict.for_field("course", "full", "The course is full.")
