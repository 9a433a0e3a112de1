"""The cleanup: requeues pending work whose messages may have been lost.

It only sends messages to the queues, whose workers are idempotent. So it may run twice, late, and concurrently.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain

from chalicelib.adapters import sqs
from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock
from chalicelib.core.retry_policy import (
    DELETION_REQUEUE_AFTER,
    EMAIL_REQUEUE_AFTER,
    EMAIL_REQUEUE_INTERVAL,
    INACTIVE_RETENTION,
    TOMBSTONE_RETENTION,
)
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.courses import Course
from chalicelib.models.email_sweeps import EmailSweep
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.shards import all_shards
from chalicelib.models.users import ERASED, INACTIVE, SWEPT, User
from chalicelib.observability import metrics
from chalicelib.observability.logs import error_log, event_log

Progress = Iterator[int]  # the number of messages sent, in steps


class QueueRejectedMessagesError(RuntimeError):
    """SQS rejected messages of a batch. The next run sends the batch again."""


class CleanupError(RuntimeError):
    """Steps of a cleanup failed; the message names them, and the log has the exception of each."""


def requeue_account_emails(now: datetime) -> Progress:
    """Requeue pending emails about accounts, as `requeue_enrollment_emails` does."""
    return _requeue_pending(AccountEmail, now)


def requeue_enrollment_emails(now: datetime) -> Progress:
    """Requeue pending emails whose message was lost, never sent, or failed for reasons that are not the email's.

    Each run continues where the last one ended. After EMAIL_REQUEUE_INTERVAL it begins again with the oldest.
    """
    return _requeue_pending(Enrollment, now)


def _requeue_pending(table: type[AccountEmail] | type[Enrollment], now: datetime) -> Progress:
    before = clock.format_timestamp(now - EMAIL_REQUEUE_AFTER)
    for shard in all_shards():
        sweep = EmailSweep.of(table, shard)
        if sweep.started_at <= clock.format_timestamp(now - EMAIL_REQUEUE_INTERVAL):
            sweep.started_at, sweep.position = clock.format_timestamp(now), ""
        for position, rows in table.pending_emails(shard, sweep.position, before):
            messages = [sqs.email_message(row.email_kind, row.id, row.request_id) for row in rows]
            accepted = sum(len(batch) for batch in sqs.send_batches(sqs.EMAILS, messages))
            if accepted < len(messages):
                raise QueueRejectedMessagesError(f"{len(messages) - accepted} of {len(messages)} emails")
            sweep.position = position
            sweep.save()
            yield accepted


def requeue_course_deletions(now: datetime) -> Progress:
    """Requeue the cascades of deleted courses that are not swept, and those whose tombstone is to be purged."""
    unswept = Course.deleted_ids(clock.format_timestamp(now - DELETION_REQUEUE_AFTER))
    outdated = Course.deleted_ids(clock.format_timestamp(now - TOMBSTONE_RETENTION), swept=True)
    return _requeue_deletions(CascadeTarget.COURSE, chain(unswept, outdated))


def requeue_user_deletions(now: datetime) -> Progress:
    """Requeue the cascades of erased users that are not swept, and those whose tombstone is to be purged."""
    unswept = User.lifecycle_ids(ERASED, clock.format_timestamp(now - DELETION_REQUEUE_AFTER))
    outdated = User.lifecycle_ids(SWEPT, clock.format_timestamp(now - TOMBSTONE_RETENTION))
    return _requeue_deletions(CascadeTarget.USER, chain(unswept, outdated))


def queue_inactive_students(now: datetime) -> Progress:
    """Queue the deletion of the enrollments of students who have been inactive for INACTIVE_RETENTION."""
    ids = User.lifecycle_ids(INACTIVE, clock.format_timestamp(now - INACTIVE_RETENTION))
    return _requeue_deletions(CascadeTarget.INACTIVE, ids)


def request_settlements(now: datetime) -> Progress:
    """Request the settlement of place numbers whose messages may have been lost."""
    messages = (sqs.waitlist_message(course_id) for course_id in PlaceCounter.find_unsettled())
    return (len(accepted) for accepted in sqs.send_batches(sqs.WAITLIST, messages))


# The steps by the metric that counts their messages. The failure of one does not stop the others. Emails are last: they
# can be many, and must leave time for the others.
STEPS: dict[str, Callable[[datetime], Progress]] = {
    "CourseDeletionsRequeued": requeue_course_deletions,
    "UserDeletionsRequeued": requeue_user_deletions,
    "InactiveStudentsQueued": queue_inactive_students,
    "SettlementsRequested": request_settlements,
    "AccountEmailsRequeued": requeue_account_emails,
    "EmailsRequeued": requeue_enrollment_emails,
}


def run(now: datetime, should_continue: Callable[[str, int], bool]) -> dict[str, int]:
    """Run all steps and return how many messages each one sent.

    ``should_continue`` is called with a step and its number so far; False ends the step.

    Raises:
        CleanupError: Steps failed.
    """
    counts = dict.fromkeys(STEPS, 0)
    failed = []
    for name, step in STEPS.items():
        try:
            for number in step(now):
                counts[name] += number
                if not should_continue(name, counts[name]):
                    break
        except Exception:
            error_log.exception("Cleanup step failed", step=name)
            failed.append(name)
        metrics.increment(name, counts[name])
    event_log.info("Cleanup finished", **counts)
    if failed:
        raise CleanupError(", ".join(failed))
    return counts


def _requeue_deletions(target: CascadeTarget, entity_ids: Iterable[str]) -> Progress:
    messages = (sqs.deletion_message(target, entity_id) for entity_id in entity_ids)
    return (len(accepted) for accepted in sqs.send_batches(sqs.DELETIONS, messages))
