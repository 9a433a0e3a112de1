"""Logs, errors, URLs, emails and tables contain no password, token, hash or key."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

from chalicelib.core import ids
from chalicelib.security.access import ROUTE_ACCESS
from infra.functions import EMAILS
from tests.clients import PASSWORD, Actor, Api, log_in, register, unique
from tests.stack import RunningStack
from tests.waiting import eventually

TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")
HASH = re.compile(r"\$argon2\w*\$")
CANARY = "canary" + uuid.uuid4().hex
UNSUBSCRIBE_SECRET = ids.new_secret()
LINK = re.compile(r"(#verify|#reset|[?]token)=(\w+)")
MAILS = "the sent emails"

STORED_SECRETS = {"password_hash", "unsubscribe_secret"}
"""The attributes of users in which secrets are stored."""


def _unsubscribe(stack: RunningStack, actor: Actor) -> Iterator[str]:
    """Use unsubscribe links of a user, good and bad ones; yield the responses that must not repeat them."""
    user_id = actor.get("/auth/me/").json()["id"]
    stack.aws("dynamodb").update_item(
        TableName=f"eduflow-users-{stack.stage}",
        Key={"id": {"S": user_id}},
        UpdateExpression="SET unsubscribe_secret = :secret",
        ExpressionAttributeValues={":secret": {"S": UNSUBSCRIBE_SECRET}},
    )
    for holder, end, method in product((user_id, "0" * 16), ("reports", "all", "unknown", ""), ("GET", "POST")):
        token = f"{holder}{UNSUBSCRIBE_SECRET}{end}"
        response = actor.api.call(
            method, f"/notifications/unsubscribe/?token={token}", data="List-Unsubscribe=One-Click"
        )
        is_page = response.ok and method == "GET"
        yield str(response.headers) + ("" if is_page else response.text)
    assert not any(actor.get("/auth/me/notifications/").json().values())
    assert UNSUBSCRIBE_SECRET not in actor.get("/auth/me/export/").text


@contextmanager
def _email_worker_stopped(stack: RunningStack) -> Iterator[None]:
    client, name = stack.aws("lambda"), EMAILS.lambda_name(stack.stage)
    [trigger] = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    client.update_event_source_mapping(UUID=trigger["UUID"], Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=trigger["UUID"], Enabled=True)


def _queued_emails(stack: RunningStack, number: int) -> str:
    """Return the messages that wait for the email worker."""
    sqs, found = stack.aws("sqs"), dict[str, str]()
    url = sqs.get_queue_url(QueueName=f"eduflow-emails-{stack.stage}")["QueueUrl"]

    def received() -> bool:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        found.update({message["MessageId"]: message["Body"] for message in answer.get("Messages", [])})
        return len(found) >= number

    eventually(received)
    return "\n".join(found.values())


def _follow_links(stack: RunningStack, actor: Actor) -> Iterator[str]:
    """Use the links that a user has by email, right and wrong; yield the queue and the responses."""
    anonymous, address = Actor(actor.api), f"{actor.username}@example.org"
    eventually(lambda: stack.tokens("verify", address))  # of the registration
    course = register(actor.api, "instructor").create_course()
    with _email_worker_stopped(stack):
        assert actor.post("/auth/email/verification/").status_code == 202
        assert anonymous.post("/auth/password/forgot/", {"username": actor.username}).status_code == 202
        number = 2 + actor.post("/enrollments/", {"course": course["id"]}).ok
        yield _queued_emails(stack, number)
    eventually(lambda: len(_tokens(stack, actor.username)) >= 1 + number)
    for kind, path in (("verify", "/auth/email/verify/"), ("reset", "/auth/password/reset/")):
        token = stack.tokens(kind, address)[-1]
        bodies = [{"token": f"{token}x"}, {"token": [token]}, {"token": token, "password": "short"}]
        for body in [*bodies, {"token": token, "password": PASSWORD}]:
            for called in (path, f"{path}?token={token}"):  # with the last body, it has been used the second time
                response = anonymous.post(called, body)
                yield response.text + str(response.headers)
        assert (kind, response.status_code) == (kind, 400)


def _tokens(stack: RunningStack, username: str) -> set[tuple[str, str]]:
    """Return the tokens in the emails to a user, with what precedes them."""
    emails = stack.emails(f"{username}@example.org")
    return {link for email in emails for link in LINK.findall(email["BodyText"])}


def _drive(api: Api, actor: Actor, refresh: str) -> Iterator[str]:
    """Call every route with valid and invalid requests that contain secrets; yield the bodies of errors."""
    bodies = [
        {"username": actor.username, "email": f"{actor.username}@example.org", "password": CANARY},
        {"username": CANARY, "password": CANARY},
        {"username": actor.username, "password": CANARY, "email": CANARY, "role": CANARY},
        {"refresh": CANARY},
        {"refresh": refresh + "x"},
        {"current": CANARY, "new": CANARY + "1"},
        {"current": CANARY, "new": "12345678"},
        {"password": [CANARY], "refresh": [CANARY], "current": {"a": CANARY}},
        {"title": "A course", "password": CANARY, "course": "0" * 16},
    ]
    for method, path in ROUTE_ACCESS:
        if (method, path) == ("DELETE", "/api/v1/auth/me"):
            continue
        called = re.sub(r"\{\w+\}", "0" * 16, path) + "/"
        for token in (actor.token, None, f"{actor.token}{CANARY}", CANARY):
            for body in bodies if method in ("POST", "PUT", "PATCH") else [None]:
                response = api.call(method, called, token, json=body)
                if not response.ok:
                    yield response.text + str(response.headers)
        yield api.call(
            method, called, actor.token, data=f'{{"password": "{CANARY}"', headers={"X-Api-Key": CANARY}
        ).text
        yield api.call(method, f"{called}?password={CANARY}&limit=0&cursor={CANARY}", actor.token).text


def _written(stack: RunningStack) -> Iterator[tuple[str, str]]:
    """Return everything that the stack has written since its start, by place."""
    for file in [stack.log, *(stack.folder / ".local").rglob("*")]:
        if file.is_file() and "tmp" not in file.parts:
            yield file.name, file.read_text(errors="replace")
    logs = stack.aws("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
            yield group["logGroupName"], json.dumps([event["message"] for event in page["events"]])
    database = stack.aws("dynamodb")
    for table in database.list_tables()["TableNames"]:
        for page in database.get_paginator("scan").paginate(TableName=table):
            rows = [{k: v for k, v in row.items() if k not in STORED_SECRETS} for row in page["Items"]]
            yield table, json.dumps(rows, default=str)
    yield MAILS, json.dumps(stack.emails(""))


def test_nothing_secret_is_written(stack: RunningStack, gateway: Api) -> None:
    stack.reset_throttling()
    said: list[str] = []
    links = set[tuple[str, str]]()
    for role in ("student", "instructor"):
        actor = register(gateway, role)
        name = actor.username
        said += _follow_links(stack, actor)
        pair = gateway.call("POST", "/auth/login/", json={"username": name, "password": PASSWORD}).json()
        said += _unsubscribe(stack, Actor(gateway, name, pair["access"]))
        said += _drive(gateway, Actor(gateway, name, pair["access"]), pair["refresh"])
        stack.reset_throttling()
        again = log_in(gateway, name)
        assert again.post("/auth/password/", {"current": PASSWORD, "new": CANARY}).status_code == 204
        links |= _tokens(stack, name)
        assert log_in(gateway, name, CANARY).call("DELETE", "/auth/me/").status_code == 204
    missing = unique("unknown")
    assert stack.manage("create-admin", missing, "no address", EDUFLOW_PASSWORD=CANARY).returncode == 1
    secrets = [CANARY, PASSWORD, UNSUBSCRIBE_SECRET, *stack.signing_keys().values()]

    written = [*_written(stack), *(("an answer", text) for text in said)]

    assert {kind for kind, _ in links} == {"#verify", "#reset", "?token"}
    secrets_of_links = [token[ids.ID_LENGTH :][: ids.SECRET_LENGTH] for _, token in links]
    for where, text in written:
        for secret in secrets if where == MAILS else [*secrets, *secrets_of_links]:
            assert secret not in text, (where, text[max(0, text.find(secret) - 300) :][:400])
        for pattern in (TOKEN, HASH):
            found = pattern.search(text)
            assert found is None, (where, text[max(0, found.start() - 300) :][:400])
