"""The queues: enrollments whose email is owed, and what hangs on something that was deleted."""

import json
from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws, logs
from chalicelib.settings import settings

ENROLLMENT_EMAILS = "enrollment-emails"
DELETIONS = "deletions"
COURSE = "course"
USER = "user"


def send_enrollment(enrollment_id: str, request_id: str) -> bool:
    """Ask for the email of an enrollment; whether the queue took it.

    A queue that is out of reach is no error of the caller's: the row still says that an email is owed.
    """
    return _send(ENROLLMENT_EMAILS, {"enrollment": enrollment_id, "request_id": request_id})


def send_deletion(kind: str, thing: str) -> bool:
    """Ask for the removal of what hangs on a deleted COURSE or USER; whether the queue took it.

    If it is out of reach, the tombstone still says so.
    """
    return _send(DELETIONS, {"kind": kind, "id": thing, "request_id": logs.request_id.get()})


def _send(queue: str, message: dict[str, str]) -> bool:
    try:
        aws.client("sqs").send_message(QueueUrl=_url(queue), MessageBody=json.dumps(message))
    except (BotoCoreError, ClientError):
        logs.errors.exception("The queue %s did not take a message", queue, extra={"extra": message})
        return False
    return True


@cache
def _url(queue: str) -> str:
    return str(aws.client("sqs").get_queue_url(QueueName=settings().resource(queue))["QueueUrl"])
