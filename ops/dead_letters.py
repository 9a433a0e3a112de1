"""The queues' numbers, and the way back for dead letters."""

import json
from collections.abc import Iterator
from typing import Any

from chalicelib.adapters import aws, sqs

QUEUES = (sqs.ENROLLMENT_EMAILS, sqs.DELETIONS)
_NUMBERS = {
    "waiting": "ApproximateNumberOfMessages",
    "delayed": "ApproximateNumberOfMessagesDelayed",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
}


def status(name: str) -> dict[str, int]:
    """How many messages a queue holds, by their state, and how many are dead; as near as SQS knows."""
    return _numbers(name) | {"dead": _numbers(_dead(name))["waiting"]}


def redrive(name: str) -> Iterator[int]:
    """Put a queue's dead letters back into it; gives how many each step moved.

    Each is sent before it is deleted: what dies in between is there twice, and done once.

    Raises NotTaken for those that the queue refuses: they stay dead.
    """
    client, dead = aws.client("sqs"), sqs.queue_url(_dead(name))
    # With a wait, all of SQS' servers are asked: without, an answer can be empty while letters are there.
    asked = {"QueueUrl": dead, "MaxNumberOfMessages": sqs.MAX_BATCH_SIZE, "WaitTimeSeconds": 2}
    while letters := client.receive_message(**asked).get("Messages", []):
        entries = [{"Id": str(number), "MessageBody": one["Body"]} for number, one in enumerate(letters)]
        answer = client.send_message_batch(QueueUrl=sqs.queue_url(name), Entries=entries)
        taken = [letters[int(done["Id"])] for done in answer.get("Successful", [])]
        for letter in taken:
            client.delete_message(QueueUrl=dead, ReceiptHandle=letter["ReceiptHandle"])
        yield len(taken)
        if answer.get("Failed"):
            raise RedriveError(json.dumps(answer["Failed"]))


class RedriveError(RuntimeError):
    """The queue refused dead letters; the message has its reasons."""


def _dead(name: str) -> str:
    return f"{name}-dead"


def _numbers(name: str) -> dict[str, int]:
    wanted: list[Any] = [*_NUMBERS.values()]
    found = aws.client("sqs").get_queue_attributes(QueueUrl=sqs.queue_url(name), AttributeNames=wanted)["Attributes"]
    return {state: int(found[attribute]) for state, attribute in _NUMBERS.items()}
