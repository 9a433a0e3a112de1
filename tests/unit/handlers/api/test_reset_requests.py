"""Requests for a new password: who gets an email, how many, and what a stolen access token can reach."""

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.adapters import aws as aws_clients
from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.account_emails import AccountEmail
from chalicelib.services import users
from tests.factories import create_user
from tests.unit.conftest import DynamoDbRequest
from tests.unit.email_worker import deliver_all
from tests.unit.handlers.api.recovery import (
    forget,
    reset,
)
from tests.unit.handlers.conftest import ApiClient
from tests.unit.mailbox import Mailbox


def test_unknown_and_known_names_cause_the_same_calls(
    http: ApiClient, ada: Caller, dynamodb_requests: list[DynamoDbRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[dict[str, str]] = []

    def send(queue: str, message: dict[str, str]) -> bool:
        messages.append(message)
        return True

    monkeypatch.setattr(sqs, "send", send)
    calls = {}
    for name in ("ada", "unknown-name", "ada@example.org", "unknown@example.org"):
        forget(http, name)
        dynamodb_requests.clear()
        response = forget(http, name)
        calls[name] = [(request.operation, request.body["TableName"]) for request in dynamodb_requests]
        assert (response.status, response.body) == (202, b"{}")

    assert calls["ada"] == calls["unknown-name"] == calls["ada@example.org"] == calls["unknown@example.org"]
    assert calls["ada"] == [("UpdateItem", "eduflow-throttles-test"), ("GetItem", "eduflow-identities-test")]
    assert len({len(json.dumps(message)) for message in messages}) == 1


@pytest.mark.usefixtures("ada")
def test_unknown_name_gets_no_email(http: ApiClient, mailbox: Mailbox) -> None:
    forget(http, "unknown@example.org")
    deliver_all()

    assert mailbox.emails == []
    assert AccountEmail.count() == 0


def test_deactivated_user_gets_no_email(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    users.apply_changes(ada.id, {"is_active": False})
    assert forget(http).status == 202
    deliver_all()

    assert mailbox.emails == []


def test_account_gets_five_emails_an_hour(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ["ada", "ada@example.org"] * 4:
        assert forget(http, name).status == 202
        deliver_all()
    assert len(mailbox.to("ada@example.org")) == 5
    assert reset(http, mailbox.tokens("reset")[-1]).status == 204, "silence does not replace the token"

    now = clock.now().timestamp()
    monkeypatch.setattr("chalicelib.services.email_requests.time.time", lambda: now + 3601)
    forget(http)
    deliver_all()
    assert len(mailbox.tokens("reset")) == 6


@pytest.mark.usefixtures("ada")
def test_address_may_request_30_resets_in_15_minutes(http: ApiClient) -> None:
    for number in range(30):
        assert forget(http, f"user{number}").status == 202
    refused = forget(http)

    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 900


def test_outage_of_sqs_is_429_for_all_names(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = aws_clients.client

    def client(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "sqs":
            raise EndpointConnectionError(endpoint_url="sqs")
        return real(name, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(aws_clients, "client", client)
        responses = [forget(http, name) for name in ("ada", "unknown")]
    assert [(one.status, one.headers["retry-after"]) for one in responses] == [(429, "2")] * 2
    assert responses[0].json["detail"] == responses[1].json["detail"]


def test_stolen_token_does_not_suffice_to_reset_the_password(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    http.call("PATCH", "/auth/me/", ada, {"email": "eve@evil.example"})
    assert forget(http, "eve@evil.example").status == forget(http).status == 202
    deliver_all()
    assert mailbox.tokens("reset") == []
    assert len(mailbox.to("ada@example.org")) == 1, "the owner is informed, and has a day"

    tomorrow = clock.now() + timedelta(hours=24, minutes=1)
    monkeypatch.setattr("chalicelib.services.account_emails.clock.now", lambda: tomorrow)
    forget(http)
    deliver_all()
    assert len(mailbox.tokens("reset")) == 1


def test_stolen_token_of_an_admin_does_not_suffice(
    http: ApiClient, aws: None, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = create_user(Role.ADMIN, name="root")
    for number in range(5):
        body = {"email": f"eve{number}@evil.example", "is_active": True}
        assert http.call("PATCH", f"/users/{admin.id}/", admin, body).status == 200
    assert http.call("PATCH", f"/users/{admin.id}/", admin, body).status == 200, "nothing changes"
    body = {"email": "eve@evil.example"}
    assert http.call("PATCH", f"/users/{admin.id}/", admin, body).status == 429, "a user may change it five times a day"

    assert forget(http, "root").status == 202
    deliver_all()
    assert mailbox.tokens("reset") == []

    tomorrow = clock.now() + timedelta(hours=24, minutes=1)
    monkeypatch.setattr("chalicelib.services.account_emails.clock.now", lambda: tomorrow)
    forget(http, "root")
    deliver_all()
    assert len(mailbox.tokens("reset")) == 1


@pytest.mark.parametrize("change", ["none before", "a change by the user before"])
def test_address_set_by_an_admin_can_be_used_at_once(
    http: ApiClient, ada: Caller, mailbox: Mailbox, change: str
) -> None:
    if change != "none before":
        http.call("PATCH", "/auth/me/", ada, {"email": "mistyped@new.example"})
    admin = create_user(Role.ADMIN)
    http.call("PATCH", f"/users/{ada.id}/", admin, {"email": "ada@new.example"})
    forget(http)
    deliver_all()

    assert len(mailbox.tokens("reset")) == 1
