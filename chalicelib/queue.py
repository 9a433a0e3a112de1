"""The queue of enrollments whose email is owed."""

import json
from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws, logs
from chalicelib.settings import settings

ENROLLMENT_EMAILS = "enrollment-emails"


def send_enrollment(enrollment_id: str, request_id: str) -> bool:
    """Ask for the email of an enrollment; whether the queue took it.

    A queue that is out of reach is no error of the caller's: the row still says that an email is owed.
    """
    body = json.dumps({"enrollment": enrollment_id, "request_id": request_id})
    try:
        aws.client("sqs").send_message(QueueUrl=_url(), MessageBody=body)
    except (BotoCoreError, ClientError):
        logs.errors.exception(
            "The queue did not take an enrollment's email", extra={"extra": {"enrollment": enrollment_id}}
        )
        return False
    return True


@cache
def _url() -> str:
    name = settings().resource(ENROLLMENT_EMAILS)
    return str(aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])
