"""The inequalities between the retries and timing of code, templates and configuration."""

import json
from datetime import timedelta
from typing import Any

import cfnlint.decode.cfn_yaml
import pytest

from chalicelib.adapters import ses
from chalicelib.core import retries
from chalicelib.core import retry_policy as policy
from chalicelib.services import emails
from infra.config import PROJECT
from infra.stacks import DATA

RESOURCES = cfnlint.decode.cfn_yaml.load(str(DATA))["Resources"]
CONFIG = json.loads((PROJECT / ".chalice" / "config.json").read_text())
QUEUES = {"Emails": "emails", "Deletions": "cascade_deletions", "Waitlist": "place_settlement"}
MAX_DELAY_SECONDS = 900  # of SQS, for one message


def properties(resource: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[resource]["Properties"]
    return found


@pytest.mark.parametrize(("queue", "worker"), QUEUES.items())
def test_queue_and_worker_have_the_values_of_the_policy(queue: str, worker: str) -> None:
    assert properties(queue)["VisibilityTimeout"] == policy.VISIBILITY_TIMEOUT_SECONDS
    assert properties(queue)["RedrivePolicy"]["maxReceiveCount"] == policy.MAX_RECEIVE_COUNT
    for each in (queue, f"{queue}Dead"):
        assert properties(each)["MessageRetentionPeriod"] == policy.QUEUE_RETENTION.total_seconds()
    assert CONFIG["lambda_functions"][worker]["lambda_timeout"] == policy.WORKER_TIMEOUT_SECONDS


def test_other_templates_have_the_values_of_the_policy() -> None:
    assert properties("Deletions")["DelaySeconds"] == policy.CASCADE_DELAY_SECONDS
    assert CONFIG["lambda_timeout"] == policy.API_TIMEOUT_SECONDS


def test_message_stays_hidden_for_six_timeouts_of_its_worker() -> None:
    """See https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""
    assert policy.VISIBILITY_TIMEOUT_SECONDS >= 6 * policy.WORKER_TIMEOUT_SECONDS


def test_email_is_requeued_only_after_its_last_delivery() -> None:
    deliveries = timedelta(seconds=policy.MAX_RECEIVE_COUNT * policy.VISIBILITY_TIMEOUT_SECONDS)

    assert deliveries < policy.EMAIL_REQUEUE_AFTER
    assert deliveries < policy.EMAIL_REQUEUE_INTERVAL
    assert deliveries <= policy.DELETION_REQUEUE_AFTER


def test_cascade_and_marker_outlast_every_request() -> None:
    assert policy.CASCADE_DELAY_SECONDS > policy.API_TIMEOUT_SECONDS
    assert policy.CACHE_WRITE_MARKER_TTL_SECONDS > policy.WORKER_TIMEOUT_SECONDS > policy.API_TIMEOUT_SECONDS


def test_redriven_message_finds_its_idempotency_record() -> None:
    assert policy.IDEMPOTENCY_RECORD_TTL > 2 * policy.QUEUE_RETENTION


def test_email_fits_into_one_invocation() -> None:
    assert ses.MAX_SEND_SECONDS < emails.MAX_SEND_SECONDS < policy.WORKER_TIMEOUT_SECONDS


def test_unused_number_is_settled_after_its_request_by_one_message() -> None:
    assert retries.REQUEST_BUDGET_SECONDS < policy.UNUSED_NUMBER_SECONDS <= MAX_DELAY_SECONDS


def test_tombstone_outlasts_access_tokens_and_requeues() -> None:
    assert timedelta(minutes=30) < policy.TOMBSTONE_RETENTION  # the lifetime of an access token
    assert policy.TOMBSTONE_RETENTION > policy.DELETION_REQUEUE_AFTER


def test_lease_of_a_key_outlasts_every_request() -> None:
    assert timedelta(seconds=policy.REQUEST_LEASE_SECONDS) < policy.IDEMPOTENCY_KEY_TTL
    assert policy.REQUEST_LEASE_SECONDS > policy.API_TIMEOUT_SECONDS
