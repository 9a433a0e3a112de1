"""The way back for dead letters."""

import boto3
import pytest

from chalicelib.adapters import sqs
from ops import dead_letters


@pytest.fixture
def dead(aws: None) -> list[str]:
    """25 dead letters among the enrollment emails."""
    client, bodies = boto3.client("sqs"), [f'{{"enrollment": "{number}"}}' for number in range(25)]
    for body in bodies:
        client.send_message(QueueUrl=sqs.queue_url("emails-dead"), MessageBody=body)
    return bodies


def waiting() -> list[str]:
    client, found = boto3.client("sqs"), []
    url = sqs.queue_url(sqs.EMAILS)
    while some := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [one["Body"] for one in some]
    return found


def test_redrive_moves_all_dead_letters(dead: list[str]) -> None:
    assert dead_letters.status(sqs.EMAILS) == {"waiting": 0, "delayed": 0, "in_flight": 0, "dead": 25}

    assert sum(dead_letters.redrive(sqs.EMAILS)) == 25

    assert dead_letters.status(sqs.EMAILS)["dead"] == 0
    assert sorted(waiting()) == sorted(dead)
    assert [*dead_letters.redrive(sqs.EMAILS)] == []


def test_interrupted_redrive_loses_nothing(dead: list[str]) -> None:
    next(dead_letters.redrive(sqs.EMAILS))

    assert len(waiting()) + dead_letters.status(sqs.EMAILS)["dead"] == 25
