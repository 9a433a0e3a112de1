"""Emails about accounts: outages, crashes, secrets and erasure."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.adapters import ses, sqs
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.retry_policy import EMAIL_REQUEUE_AFTER, MAX_RECEIVE_COUNT
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.tickets import Ticket
from chalicelib.services import cascade_deletion, cleanup, users
from ops import emails
from tests.unit.email_worker import deliver_all, receive
from tests.unit.handlers.api.recovery import forget, reset, reset_message, verify
from tests.unit.handlers.conftest import ApiClient
from tests.unit.mailbox import Mailbox


def test_outage_of_ses_loses_no_reset_email(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    mailbox.errors = [EndpointConnectionError(endpoint_url="ses")] * MAX_RECEIVE_COUNT
    message = reset_message(ada.id)
    for count in range(1, MAX_RECEIVE_COUNT + 1):
        assert receive(message, receives=count) == [message] * (count < MAX_RECEIVE_COUNT)

    later = clock.now() + EMAIL_REQUEUE_AFTER * 2
    assert cleanup.run(later, lambda *_: True)["AccountEmailsRequeued"] == 1
    deliver_all()

    assert len(mailbox.tokens("reset")) == 1
    assert reset(http, mailbox.tokens("reset")[0]).status == 204


def test_reset_email_that_could_not_be_recorded_becomes_a_dead_letter(
    ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = reset_message(ada.id)
    with monkeypatch.context() as patch:
        patch.setattr(AccountEmail, "add_to", lambda *_: 1 / 0)
        assert receive(message, receives=MAX_RECEIVE_COUNT) == [message]

    assert receive(message) == []
    assert len(mailbox.emails) == 1


STEPS: dict[str, tuple[object, str]] = {
    "email saved": (AccountEmail, "add_to"),
    "ticket issued": (Ticket, "replace"),
    "email sent": (ses, "send"),
    "email marked": (AccountEmail, "mark_email_sent"),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_crash_of_the_worker_leaves_one_working_token(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    owner, name = STEPS[step]
    real: Callable[..., Any] = getattr(owner, name)

    def crash(*arguments: Any, **options: Any) -> Any:
        if when == "after":
            real(*arguments, **options)
        raise RuntimeError("the process was killed")

    message = reset_message(ada.id)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crash)
        assert receive(message) == [message]
    assert receive(message) == []
    assert receive(message) == [], "delivered once more"

    tokens = mailbox.tokens("reset")
    assert [reset(http, token).status for token in reversed(tokens)] == [204] + [400] * (len(tokens) - 1)
    assert len(tokens) == (2 if (step, when) == ("email sent", "after") else 1)
    assert [row for row in AccountEmail.all_of_user(ada.id) if row.kind == "password_reset"] == []


def test_rejected_email_is_given_up_listed_and_retried(eve: Caller, mailbox: Mailbox) -> None:
    email = AccountEmail.new(eve.id, EmailKind.VERIFICATION, clock.timestamp(), "r")
    late = AccountEmail.new(eve.id, EmailKind.PASSWORD_RESET, clock.timestamp(), "r")
    for row in (email, late):
        row.save()
        message = json.dumps(sqs.email_message(row.email_kind, row.id, "r"))
        mailbox.errors = [ses.RejectedEmail("MessageRejected", "Address blacklisted.")]
        assert receive(message, receives=MAX_RECEIVE_COUNT) == [message]

    later = clock.now() + EMAIL_REQUEUE_AFTER * 2
    assert cleanup.run(later, lambda *_: True)["AccountEmailsRequeued"] == 0
    assert {(row["id"], row["kind"], row["error"]) for row in emails.failed()} == {
        (email.id, "verification", "MessageRejected"),
        (late.id, "password_reset", "MessageRejected"),
    }
    sent = len(mailbox.emails)
    assert [*emails.retry()] == [1], "no link that resets a password is sent weeks later"
    deliver_all()
    assert len(mailbox.emails) == sent + 1
    assert [row["id"] for row in emails.failed()] == [late.id]


def test_clock_that_was_set_back_requeues_nothing(eve: Caller) -> None:
    assert [*AccountEmail.pending_emails("0", "2026-11-27T00:00:00.000000Z", "2026-11-26T00:00:00.000000Z")] == []


def test_no_secret_is_stored_queued_or_logged(
    http: ApiClient, eve: Caller, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    forget(http, "eve")
    [queued] = boto3.client("sqs").receive_message(QueueUrl=sqs.queue_url(sqs.EMAILS), VisibilityTimeout=0)["Messages"]
    receive(queued["Body"])
    reset(http, mailbox.tokens("reset")[0])
    verify(http, mailbox.tokens("verify")[0])

    client = boto3.client("dynamodb")
    rows = [client.scan(TableName=name)["Items"] for name in client.list_tables()["TableNames"]]
    written = json.dumps([rows, queued, [str(record.__dict__) for record in caplog.records]])
    assert eve.id in written
    for token in (*mailbox.tokens("reset"), *mailbox.tokens("verify")):
        assert token[16:] not in written


def test_export_has_links_without_secrets_and_pending_emails(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    users.apply_changes(eve.id, {"email": "eve@new.example"})

    exported = http.call("GET", "/auth/me/export/", eve).json

    [link] = exported["tickets"]
    assert (link["kind"], link["email"]) == ("verify", "eve@example.org")
    assert {email["kind"]: email["address"] for email in exported["account_emails"]} == {
        "verification": None,
        "email_changed": "eve@example.org",
    }
    assert mailbox.tokens("verify")[0][16:] not in json.dumps(exported)


def test_erasure_deletes_tickets_and_pending_emails(eve: Caller) -> None:
    users.apply_changes(eve.id, {"email": "eve@new.example"})
    assert [row.address for row in AccountEmail.all_of_user(eve.id) if row.address] == ["eve@example.org"]
    users.erase(eve.id)

    counts = [*cascade_deletion.delete_dependents(sqs.CascadeTarget.USER, eve.id, clock.now())]

    assert sum(counts) >= 4
    assert [*AccountEmail.all_of_user(eve.id)] == []
    assert [*Ticket.all_of_user(eve.id)] == []


def test_emails_of_an_erased_user_are_dropped(eve: Caller, mailbox: Mailbox) -> None:
    users.apply_changes(eve.id, {"email": "eve@new.example"})
    users.erase(eve.id)
    sent = len(mailbox.emails)
    deliver_all()

    assert len(mailbox.emails) == sent
    assert [*AccountEmail.all_of_user(eve.id)] == []


@pytest.mark.parametrize("email_id", ["short", "0" * 16])
def test_email_of_a_malformed_id_is_skipped(mailbox: Mailbox, email_id: str) -> None:
    assert receive(json.dumps(sqs.email_message(EmailKind.VERIFICATION, email_id, "r"))) == []
    assert mailbox.emails == []
