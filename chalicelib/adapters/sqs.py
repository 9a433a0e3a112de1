"""The queues: enrollments whose email is owed, and what hangs on something that ended."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters import aws
from chalicelib.core.config import settings
from chalicelib.observability import logs

ENROLLMENT_EMAILS = "enrollment-emails"
DELETIONS = "deletions"
COURSE = "course"
USER = "user"
INACTIVE = "inactive"
MAX_RECEIVES = 5
"""How often a message is tried before it becomes a dead letter: the template's maxReceiveCount."""

AT_ONCE = 10  # SQS's limit of a batch

Message = dict[str, str]


def enrollment_message(enrollment_id: str, request_id: str) -> Message:
    """What asks for the email of an enrollment."""
    return {"enrollment": enrollment_id, "request_id": request_id}


def deletion_message(kind: str, thing: str) -> Message:
    """What asks for the removal of what hangs on a deleted COURSE or USER, or on an INACTIVE one."""
    return {"kind": kind, "id": thing, "request_id": logs.request_id.get()}


def send(queue: str, message: Message, **options: Any) -> bool:
    """Put a message into a queue; whether it took it.

    A queue that is out of reach is no error of the caller's: the row still says what is owed, and
    the cleanup asks again.
    """
    try:
        aws.client("sqs").send_message(QueueUrl=url(queue), MessageBody=json.dumps(message), **options)
    except (BotoCoreError, ClientError):
        logs.errors.exception("The queue %s did not take a message", queue, extra={"extra": message})
        return False
    return True


def send_all(queue: str, messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Put messages into a queue, as many at once as it takes; gives those of each batch that it took.

    Raises BotoCoreError and ClientError when the queue is out of reach.
    """
    rest = iter(messages)
    while batch := [*islice(rest, AT_ONCE)]:
        entries = [{"Id": str(number), "MessageBody": json.dumps(message)} for number, message in enumerate(batch)]
        answer = aws.client("sqs").send_message_batch(QueueUrl=url(queue), Entries=entries)
        yield [batch[int(done["Id"])] for done in answer.get("Successful", [])]


@cache
def url(queue: str) -> str:
    """The address of this stage's queue."""
    return str(aws.client("sqs").get_queue_url(QueueName=settings().resource(queue))["QueueUrl"])
