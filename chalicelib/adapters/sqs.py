"""SQS queues: emails, cascade deletions and waitlists."""

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from chalicelib.adapters import aws
from chalicelib.core.config import settings
from chalicelib.observability import logs
from chalicelib.observability.logs import error_log

EMAILS = "emails"
DELETIONS = "deletions"
WAITLIST = "waitlist"
MAX_BATCH_SIZE = 10  # SQS's limit
_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS = 0.3, 0.6  # of a call that a client of the API waits for

Message = dict[str, str]


class CascadeTarget(StrEnum):
    """The kinds of entities whose dependents are deleted."""

    COURSE = "course"  # a deleted course
    USER = "user"  # an erased user
    INACTIVE = "inactive"  # a student who has been deactivated for long


def email_message(kind: str, email_id: str, request_id: str) -> Message:
    """Return the message that requests the email of an enrollment, or an `AccountEmail`, by its ID."""
    return {"kind": str(kind), "id": email_id, "request_id": request_id}


def deletion_message(target: CascadeTarget, entity_id: str) -> Message:
    """Return the message that requests the deletion of an entity's dependents."""
    return {"target": target, "id": entity_id, "request_id": logs.request_id.get()}


def waitlist_message(course_id: str, void_through: int = 0) -> Message:
    """Return the message that requests that a course's free places are given to waiting students.

    Numbers up to ``void_through`` that no request has used until then are void.
    """
    return {"course": course_id, "void_through": str(void_through), "request_id": logs.request_id.get()}


def send(queue: str, message: Message, **options: Any) -> bool:
    """Send a message and return whether SQS accepted it.

    A failure is logged and does not fail the caller, who waits less than a second for SQS: the row still records the
    pending work, and the cleanup requeues it.
    """

    def attempt() -> None:
        _impatient_client().send_message(QueueUrl=queue_url(queue), MessageBody=json.dumps(message), **options)

    try:
        try:
            attempt()
        except ConnectionClosedError:  # SQS closed it while Lambda froze the process
            attempt()
    except (BotoCoreError, ClientError):
        error_log.exception("SQS did not accept a message", queue=queue, **message)
        return False
    return True


def send_batches(queue: str, messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Send messages in batches and yield those of each batch that SQS accepted.

    Raises:
        BotoCoreError, ClientError: SQS is not reachable.
    """
    remaining = iter(messages)
    while batch := [*islice(remaining, MAX_BATCH_SIZE)]:
        entries = [{"Id": str(number), "MessageBody": json.dumps(message)} for number, message in enumerate(batch)]
        response = aws.client("sqs").send_message_batch(QueueUrl=queue_url(queue), Entries=entries)
        yield [batch[int(entry["Id"])] for entry in response.get("Successful", [])]


@cache
def queue_url(queue: str) -> str:
    """Return the URL of this stage's queue."""
    return str(_impatient_client().get_queue_url(QueueName=settings().resource_name(queue))["QueueUrl"])


def _impatient_client() -> Any:
    return aws.client("sqs", _READ_TIMEOUT_SECONDS, max_attempts=1, connect_timeout=_CONNECT_TIMEOUT_SECONDS)


def reset() -> None:
    """Forget the URLs that this process has read."""
    queue_url.cache_clear()
