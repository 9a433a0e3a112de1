"""Logs, errors, URLs, emails and tables contain no password, token, hash or key."""

import json
import re
import uuid
from collections.abc import Iterator
from itertools import product

from chalicelib.core import ids
from chalicelib.security.access import ROUTE_ACCESS
from tests.clients import PASSWORD, Actor, Api, log_in, register, unique
from tests.stack import RunningStack

TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")
HASH = re.compile(r"\$argon2\w*\$")
CANARY = "canary" + uuid.uuid4().hex
UNSUBSCRIBE_SECRET = ids.new_secret()

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
    for file in [stack.log, *(stack.folder / ".local").glob("*.log")]:
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
    yield "mails", json.dumps(stack.emails(""))


def test_nothing_secret_is_written(stack: RunningStack, gateway: Api) -> None:
    stack.reset_throttling()
    said: list[str] = []
    for role in ("student", "instructor"):
        name = register(gateway, role).username
        pair = gateway.call("POST", "/auth/login/", json={"username": name, "password": PASSWORD}).json()
        said += _unsubscribe(stack, Actor(gateway, name, pair["access"]))
        said += _drive(gateway, Actor(gateway, name, pair["access"]), pair["refresh"])
        stack.reset_throttling()
        again = log_in(gateway, name)
        assert again.post("/auth/password/", {"current": PASSWORD, "new": CANARY}).status_code == 204
        assert log_in(gateway, name, CANARY).call("DELETE", "/auth/me/").status_code == 204
    missing = unique("unknown")
    assert stack.manage("create-admin", missing, "no address", EDUFLOW_PASSWORD=CANARY).returncode == 1
    secrets = [CANARY, PASSWORD, UNSUBSCRIBE_SECRET, *stack.signing_keys().values()]

    written = [*_written(stack), *(("an answer", text) for text in said)]

    for where, text in written:
        for secret in secrets:
            assert secret not in text, (where, text[max(0, text.find(secret) - 300) :][:400])
        for pattern in (TOKEN, HASH):
            found = pattern.search(text)
            assert found is None, (where, text[max(0, found.start() - 300) :][:400])
