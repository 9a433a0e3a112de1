"""Queue statistics, and the redrive of dead letters."""

import json
from collections.abc import Iterator
from typing import Any

from chalicelib.adapters import aws, sqs
from chalicelib.core.audit import OPERATOR, Action
from chalicelib.observability.logs import error_log
from chalicelib.services import audit
from infra.functions import FUNCTIONS

QUEUES = tuple(function.queue for function in FUNCTIONS if function.queue)
_ATTRIBUTES = {
    "waiting": "ApproximateNumberOfMessages",
    "delayed": "ApproximateNumberOfMessagesDelayed",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
}


class RedriveError(RuntimeError):
    """The queue rejected dead letters; the message has its reasons."""


def status(name: str) -> dict[str, int]:
    """Return the approximate number of messages of a queue by state, and that of its dead letters."""
    return _counts(name) | {"dead": _counts(_dead(name))["waiting"]}


def redrive(name: str) -> Iterator[int]:
    """Move a queue's dead letters back into it, and yield how many each step moved.

    Each is sent before it is deleted: if the process dies between the two, the message exists twice and is processed
    once. The audit log has an entry before the first one and one after the last one, and none if there are none. If the
    second one cannot be saved, that is logged: an error of SQS is more important.

    Raises:
        RedriveError: The queue rejected messages, which stay dead letters.
    """
    moved = 0
    try:
        for number in _redrive(name):
            moved += number
            yield number
    finally:
        if moved:
            _record_moved(name, moved)


def _redrive(name: str) -> Iterator[int]:
    client, dead = aws.client("sqs"), sqs.queue_url(_dead(name))
    is_recorded = False
    # Long polling queries all servers of SQS: without it, a response can be empty although messages are left.
    request = {"QueueUrl": dead, "MaxNumberOfMessages": sqs.MAX_BATCH_SIZE, "WaitTimeSeconds": 2}
    while letters := client.receive_message(**request).get("Messages", []):
        if not is_recorded:
            audit.save(audit.entry(OPERATOR, Action.QUEUE_REDRIVE_STARTED, name))
            is_recorded = True
        entries = [{"Id": str(number), "MessageBody": letter["Body"]} for number, letter in enumerate(letters)]
        response = client.send_message_batch(QueueUrl=sqs.queue_url(name), Entries=entries)
        accepted = [letters[int(entry["Id"])] for entry in response.get("Successful", [])]
        for letter in accepted:
            client.delete_message(QueueUrl=dead, ReceiptHandle=letter["ReceiptHandle"])
        yield len(accepted)
        if response.get("Failed"):
            raise RedriveError(json.dumps(response["Failed"]))


def _record_moved(name: str, moved: int) -> None:
    try:
        audit.save(audit.entry(OPERATOR, Action.QUEUE_REDRIVEN, name, {"moved": [0, moved]}))
    except Exception:
        error_log.exception("The audit log has no entry of the moved messages", queue=name, moved=moved)


def _dead(name: str) -> str:
    return f"{name}-dead"


def _counts(name: str) -> dict[str, int]:
    names: list[Any] = [*_ATTRIBUTES.values()]
    response = aws.client("sqs").get_queue_attributes(QueueUrl=sqs.queue_url(name), AttributeNames=names)
    return {state: int(response["Attributes"][attribute]) for state, attribute in _ATTRIBUTES.items()}
