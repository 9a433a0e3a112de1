"""The emails' worker dies around any of its calls to AWS, and the message is delivered again."""

import json
from threading import Event
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from chalicelib.adapters import sqs
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.roles import Role
from chalicelib.handlers.workers import emails
from chalicelib.models.enrollments import Enrollment
from chalicelib.services import enrollments
from tests.factories import create_course, create_user
from tests.unit.email_worker import receive
from tests.unit.fake_clock import FakeClock
from tests.unit.handlers.api.idempotency import Killed

RECORDS = "eduflow-idempotency-test"
# The calls of one email, and whether it is sent twice if the worker dies before or after them.
CALLS = {
    ("PutItem", RECORDS): (False, False),
    ("BatchGetItem", None): (False, False),
    ("UpdateItem", "eduflow-users-test"): (False, False),
    ("SendRawEmail", None): (False, True),
    ("UpdateItem", RECORDS): (True, False),
    ("UpdateItem", "eduflow-enrollments-test"): (False, False),
}
Call = tuple[str, str | None]


class Calls:
    """The calls to AWS. A test can kill the worker before or after the first one of a kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Call] = []
        self.killed_at: Call | None = None
        self.is_killed_after = False
        make, calls = BaseClient._make_api_call, self

        def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            name = operation, parameters.get("TableName")
            calls.made.append(name)
            if name != calls.killed_at:
                return make(client, operation, parameters)
            calls.killed_at = None
            if calls.is_killed_after:
                make(client, operation, parameters)
            raise Killed

        monkeypatch.setattr(BaseClient, "_make_api_call", call)


@pytest.fixture
def enrollment(aws: None) -> Enrollment:
    return enrollments.enroll(create_user(Role.STUDENT), create_course(create_user(Role.INSTRUCTOR)).id)


@pytest.fixture
def message(enrollment: Enrollment) -> str:
    return json.dumps(sqs.email_message(EmailKind.ENROLLMENT, enrollment.id, "r"))


@pytest.fixture
def calls(message: str, monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def _end_progress() -> None:
    """Let the time end for which a record is in progress."""
    client, expression = boto3.client("dynamodb"), "SET in_progress_expiration = :past"
    for record in client.scan(TableName=RECORDS)["Items"]:
        key, values = {"id": record["id"]}, {":past": {"N": "1"}}
        client.update_item(TableName=RECORDS, Key=key, UpdateExpression=expression, ExpressionAttributeValues=values)


def _is_pending(enrollment: Enrollment) -> bool:
    row = Enrollment.find(enrollment.id)
    assert row is not None
    return row.is_email_pending


def _sent() -> int:
    return len(ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages)


def test_email_makes_these_calls(message: str, calls: Calls) -> None:
    assert receive(message) == []

    assert sorted(calls.made, key=str) == sorted(CALLS, key=str)


@pytest.mark.parametrize("is_killed_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0]} {call[1] or ''}")
def test_email_of_a_killed_worker_is_sent_and_not_pending(
    enrollment: Enrollment, message: str, calls: Calls, call: Call, is_killed_after: bool
) -> None:
    calls.killed_at, calls.is_killed_after = call, is_killed_after
    with pytest.raises(Killed):
        receive(message)
    assert _is_pending(enrollment) or _sent(), "the cleanup does not find it"
    receive(message)  # refused while the record is in progress
    _end_progress()

    assert [receive(message) for _ in range(2)] == [[], []]
    assert _sent() == 1 + CALLS[call][is_killed_after]
    assert not _is_pending(enrollment)


def test_enrollment_is_read_again_if_it_ended_while_the_record_was_written_slowly(
    enrollment: Enrollment, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, was_read, make = FakeClock(), Event(), BaseClient._make_api_call
    monkeypatch.setattr(emails, "time", clock)

    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if (operation, parameters.get("TableName")) == ("PutItem", RECORDS):
            assert was_read.wait(30)
            row = Enrollment.find(enrollment.id)
            assert row is not None
            row.delete()
            clock.now += 1
        result = make(client, operation, parameters)
        if operation == "BatchGetItem":
            was_read.set()
        return result

    monkeypatch.setattr(BaseClient, "_make_api_call", call)

    assert receive(message) == []
    assert _sent() == 0
