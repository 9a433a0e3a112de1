"""The cleanup: asks again for all that was owed and may have been lost on its way.

It does nothing itself but ask the queues, whose workers do each thing once however often they are
asked: so it may run twice, late, and beside itself.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import ERASED, INACTIVE, User
from chalicelib.observability import logs, metrics
from chalicelib.services.cascade_deletion import INACTIVE_STAYS

EMAIL_AFTER = timedelta(minutes=45)
"""An email that is owed for so long has no message any more: the queue is through with one after 30 minutes."""

EMAIL_AGAIN_AFTER = timedelta(hours=6)
"""When a message is asked for once more, unless its email was sent or given up: the queue may be long."""

DELETION_AFTER = timedelta(minutes=30)

_READ_AT_ONCE = 100

Found = Iterator[int]
"""How many were asked for, in steps."""


def emails(now: datetime) -> Found:
    """Ask for the emails of enrollments whose message was lost, or never sent."""
    moment, asked_before = clock.rfc3339(now), clock.rfc3339(now - EMAIL_AGAIN_AFTER)
    owing = Enrollment.owing_emails(before=clock.rfc3339(now - EMAIL_AFTER))
    while rows := {row.id: row for row in islice(owing, _READ_AT_ONCE)}:
        lost = [row for row in rows.values() if not row.email_asked_at or row.email_asked_at < asked_before]
        messages = [sqs.enrollment_message(row.id, row.request_id) for row in lost]
        yield 0  # also when all were asked for: who runs this may be out of time
        for taken in sqs.send_all(sqs.ENROLLMENT_EMAILS, messages):
            for message in taken:
                rows[message["enrollment"]].note_email_asked(moment)
            yield len(taken)


def courses(now: datetime) -> Found:
    """Ask for a sweep of every deleted course whose tombstone is still there."""
    return _sweeps(sqs.COURSE, (row.id for row in Course.deleted_before(clock.rfc3339(now - DELETION_AFTER))))


def users(now: datetime) -> Found:
    """Ask for a sweep of every erased user whose tombstone is still there."""
    return _sweeps(sqs.USER, (row.id for row in User.ended_before(ERASED, clock.rfc3339(now - DELETION_AFTER))))


def inactive(now: datetime) -> Found:
    """Ask for the end of the enrollments that students left behind who are inactive for long."""
    return _sweeps(sqs.INACTIVE, (row.id for row in User.ended_before(INACTIVE, clock.rfc3339(now - INACTIVE_STAYS))))


STEPS: dict[str, Callable[[datetime], Found]] = {
    "DeletedCoursesSwept": courses,
    "ErasedUsersSwept": users,
    "InactiveStudentsSwept": inactive,
    "EmailsAskedAgain": emails,
}
"""What a cleanup does, by the metric that counts it. Each step stands for itself: one that fails stops no other.

The emails come last: they can be many, and have to leave time for the others.
"""


class CleanupFailed(RuntimeError):
    """Some steps of a cleanup failed; the message names them, the log has each."""


def run(now: datetime, go_on: Callable[[str, int], bool]) -> dict[str, int]:
    """One cleanup; how much each step found and asked for.

    ``go_on`` hears of each step's number as it grows, and says whether to go on with that step.

    Raises CleanupFailed.
    """
    found = dict.fromkeys(STEPS, 0)
    failed = []
    for name, step in STEPS.items():
        try:
            for number in step(now):
                found[name] += number
                if not go_on(name, found[name]):
                    break
        except Exception:
            logs.errors.exception("A step of the cleanup failed", extra={"extra": {"step": name}})
            failed.append(name)
        metrics.count(name, found[name])
    logs.events.info("Cleanup", extra={"extra": found})
    if failed:
        raise CleanupFailed(", ".join(failed))
    return found


def _sweeps(kind: str, things: Iterable[str]) -> Found:
    messages = (sqs.deletion_message(kind, thing) for thing in things)
    return (len(taken) for taken in sqs.send_all(sqs.DELETIONS, messages))
