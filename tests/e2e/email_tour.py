"""The calls about emails that functions make only rarely, made for test_policies."""

import json
import time
from typing import Any

from chalicelib.core import clock, ids
from chalicelib.core.retry_policy import MAX_RECEIVE_COUNT
from chalicelib.models.account_emails import AccountEmail
from infra.functions import EMAILS
from tests.clients import PASSWORD, Actor, log_in, register, unique
from tests.fault_injection.proxy import Fault, FaultyAws
from tests.stack import RunningStack
from tests.waiting import eventually

LONG_AGO = "2026-01-01T00:00:00.000000Z"
_WORKER_SECONDS = 120


def recover_account(stack: RunningStack) -> None:
    """Reset a password and verify an address, after the account used up an earlier hour's emails."""
    api, student = stack.api, register(stack.api, "student")
    address = f"{student.username}@example.org"
    _use_up_resets(stack, user_id_of(student))
    assert api.call("POST", "/auth/password/forgot/", json={"username": student.username}).status_code == 202
    [token] = eventually(lambda: stack.tokens("reset", address), _WORKER_SECONDS)
    reset = {"token": token, "password": f"{PASSWORD} again"}
    assert api.call("POST", "/auth/password/reset/", json=reset).status_code == 204
    student = log_in(api, student.username, reset["password"])
    # The password made the first one void.
    assert student.post("/auth/email/verification/").status_code == 202
    *_, token = eventually(lambda: len(found := stack.tokens("verify", address)) == 2 and found, _WORKER_SECONDS)
    assert api.call("POST", "/auth/email/verify/", json={"token": token}).status_code == 204
    assert student.call("PATCH", "/auth/me/notifications/", json={"enrollment": False}).ok


def owe_email(stack: RunningStack, user_id: str, requested_at: str | None = None) -> str:
    """Save a pending email without a message for it, and return its ID in messages."""
    requested_at, email_id = requested_at or clock.timestamp(), ids.new_id()
    row = {"user_id": user_id, "email_id": email_id, "kind": "password_changed", "request_id": "tour"}
    row |= {"sort_key": f"{requested_at}#{user_id}{email_id}", "email_pending": "0"}
    assert {*row} <= {*AccountEmail.get_attributes()}
    stack.aws("dynamodb").put_item(
        TableName=f"eduflow-account-emails-{stack.stage}", Item={name: {"S": value} for name, value in row.items()}
    )
    return user_id + email_id


def forget_email_sweeps(stack: RunningStack) -> None:
    """Let the next cleanup requeue all emails: that of another test may just have ended."""
    for table in ("AccountEmail", "Enrollment"):
        key = {"student": {"S": "#email-sweep"}, "course": {"S": f"{table}#0"}}
        stack.aws("dynamodb").delete_item(TableName="eduflow-enrollments-local", Key=key)


def add_report_reader(stack: RunningStack) -> None:
    """Create an admin to whom no report was sent."""
    name = unique("admin")
    created = stack.manage("create-admin", name, f"{name}@example.org", EDUFLOW_PASSWORD=PASSWORD)
    assert created.returncode == 0, created.stderr


def give_email_up(stack: RunningStack) -> None:
    """Let SES reject an email at the last delivery of its message."""
    functions, name = stack.aws("lambda"), EMAILS.lambda_name(stack.stage)
    email = owe_email(stack, user_id_of(register(stack.api, "student")))
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    ses = FaultyAws(stack.aws_url)
    ses.rule = lambda call: Fault.REJECTED if call.operation == "SendRawEmail" else None
    configure = {"FunctionName": name, "Environment": {"Variables": variables | {"AWS_ENDPOINT_URL_SES": ses.url}}}
    functions.update_function_configuration(**configure)
    try:
        eventually(lambda: _deliver_last(functions, name, email) and _has_failed(stack, email), _WORKER_SECONDS)
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        ses.close()


def user_id_of(actor: Actor) -> str:
    """Return the ID of a user."""
    return str(actor.get("/auth/me/").json()["id"])


def _use_up_resets(stack: RunningStack, user_id: str) -> None:
    """Leave a window without any email left, which is over."""
    numbers = {"reserved": 100, "failed": 0, "reserved_at": 0, "expires_at": int(time.time()) - 1}
    row = {"subject": {"S": f"resets#{user_id}"}} | {key: {"N": str(number)} for key, number in numbers.items()}
    stack.aws("dynamodb").put_item(TableName="eduflow-throttles-local", Item=row)


def _deliver_last(functions: Any, name: str, email: str) -> bool:
    """Invoke the worker as SQS does, and return whether it reports the message as failed."""
    record = {
        "messageId": "tour",
        "body": json.dumps({"kind": "password_changed", "id": email, "request_id": "tour"}),
        "attributes": {"ApproximateReceiveCount": str(MAX_RECEIVE_COUNT)},
        "eventSource": "aws:sqs",
    }
    response = functions.invoke(FunctionName=name, Payload=json.dumps({"Records": [record]}))
    return bool(json.loads(response["Payload"].read())["batchItemFailures"])


def _has_failed(stack: RunningStack, email: str) -> bool:
    key = {"user_id": {"S": email[: ids.ID_LENGTH]}, "email_id": {"S": email[ids.ID_LENGTH :]}}
    table = f"eduflow-account-emails-{stack.stage}"
    return "email_failed" in stack.aws("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
