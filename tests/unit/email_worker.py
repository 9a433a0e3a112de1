"""The email worker in this process."""

from types import SimpleNamespace
from typing import Any

import boto3

from chalicelib.core.email_kinds import EmailKind
from chalicelib.handlers.workers import emails
from chalicelib.services import emails as service


def receive(*bodies: str, receives: int = 1, seconds_left: int = 60) -> list[str]:
    """The bodies of those messages that are to come again."""
    records = [
        {
            "messageId": str(number),
            "body": body,
            "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": str(receives)},
        }
        for number, body in enumerate(bodies)
    ]
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 1000 * seconds_left, aws_request_id="r")
    handler: Any = emails.emails  # Chalice's: it takes what Lambda gives
    failed = handler({"Records": records}, context)["batchItemFailures"]
    return [bodies[int(one["itemIdentifier"])] for one in failed]


def send_email(enrollment_id: str) -> None:
    """Send the email of an enrollment, without the queue and its idempotency record."""
    service.send(EmailKind.ENROLLMENT, enrollment_id, service.find(EmailKind.ENROLLMENT, enrollment_id, "r"))


def deliver_all() -> None:
    """Process all messages in the queue of emails, until there are none."""
    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName="eduflow-emails-test")["QueueUrl"]
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        failed = receive(*(message["Body"] for message in messages))
        for message in messages:
            if message["Body"] not in failed:
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
