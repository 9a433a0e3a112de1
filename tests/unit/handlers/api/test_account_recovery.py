"""Forgotten passwords and verified email addresses, by HTTP and the email worker."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.adapters import aws as aws_clients
from chalicelib.adapters import ses, sqs
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import NotAuthenticated
from chalicelib.core.retry_policy import EMAIL_REQUEUE_AFTER, MAX_RECEIVE_COUNT
from chalicelib.core.roles import Role
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.sessions import Session
from chalicelib.models.throttles import Throttle
from chalicelib.models.tickets import Ticket, TicketKind
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import accounts, cascade_deletion, cleanup, password_attempts, sessions, users
from ops import emails
from tests.clients import PASSWORD
from tests.factories import create_course, create_user
from tests.unit.conftest import DynamoDbRequest, log_lines
from tests.unit.email_worker import deliver_all, receive
from tests.unit.handlers.conftest import ApiClient, ApiResponse
from tests.unit.mailbox import Mailbox

NEW_PASSWORD = "jackdaws love my sphinx"
IP = "127.0.0.1"


@pytest.fixture
def mailbox(aws: None, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    mailbox = Mailbox()
    monkeypatch.setattr(ses, "send", mailbox.send)
    return mailbox


@pytest.fixture
def ada(mailbox: Mailbox) -> Caller:
    """A student whose address is verified."""
    return create_user(Role.STUDENT, name="ada")


@pytest.fixture
def eve(mailbox: Mailbox) -> Caller:
    """A student who registered, and has not verified the address."""
    user = accounts.register("eve", "eve@example.org", PASSWORD, Role.STUDENT, client_ip=IP)
    deliver_all()
    return with_session(user)


def with_session(user: User) -> Caller:
    """Return a user as a caller, with a new session."""
    session = Session(user.id, "s", refresh_id="", auth_version=user.auth_version, created_at="", expires_at=0)
    session.save()
    return Caller(user.id, str(user.username), Role(user.role), session.id)


def forget(http: ApiClient, name: str = "ada") -> ApiResponse:
    return http.call("POST", "/auth/password/forgot/", body={"username": name})


def reset(http: ApiClient, token: str, password: str = NEW_PASSWORD) -> ApiResponse:
    return http.call("POST", "/auth/password/reset/", body={"token": token, "password": password})


def verify(http: ApiClient, token: str) -> ApiResponse:
    return http.call("POST", "/auth/email/verify/", body={"token": token})


def profile(http: ApiClient, caller: Caller) -> Any:
    return http.call("GET", "/auth/me/", caller).json


def error_codes(response: ApiResponse) -> list[tuple[str, str]]:
    return [(one["field"], one["code"]) for one in response.json["errors"]]


INVALID_TOKEN = [("token", "invalid_token")]


def requested_token(http: ApiClient, mailbox: Mailbox) -> str:
    """Request a reset for ada and return the token in the email."""
    assert forget(http).status == 202
    deliver_all()
    return mailbox.tokens("reset")[-1]


@pytest.mark.parametrize("name", ["ada", "ADA", "ada@example.org"])
def test_reset_by_the_link_in_the_email(http: ApiClient, ada: Caller, mailbox: Mailbox, name: str) -> None:
    response = forget(http, name)
    assert (response.status, response.json) == (202, {})
    deliver_all()

    [email] = mailbox.to("ada@example.org")
    assert "https://api.example.org/api/account/#reset=" in email.text
    assert reset(http, mailbox.tokens("reset")[0]).status == 204

    assert sessions.login("ada", NEW_PASSWORD, IP).access
    with pytest.raises(NotAuthenticated):
        sessions.login("ada", PASSWORD, IP)
    assert http.call("GET", "/auth/me/", ada).status == 401, "sessions from before the reset are revoked"


def test_user_is_informed_of_a_reset(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    reset(http, requested_token(http, mailbox))
    deliver_all()

    assert len(mailbox.to("ada@example.org")) == 2
    assert "#reset=" not in mailbox.emails[-1].text
    assert [*AccountEmail.all_of_user(ada.id)] == []


def test_user_is_informed_of_a_changed_password(http: ApiClient, mailbox: Mailbox) -> None:
    user = accounts.register("grace", "grace@example.org", PASSWORD, Role.STUDENT)
    caller = with_session(user)

    body = {"current": PASSWORD, "new": NEW_PASSWORD}
    assert http.call("POST", "/auth/password/", caller, body).status == 204
    deliver_all()

    assert len(mailbox.to("grace@example.org")) == 1


def test_token_is_for_one_use(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    token = requested_token(http, mailbox)

    assert reset(http, token).status == 204
    again = reset(http, token, "another " + NEW_PASSWORD)

    assert (again.status, error_codes(again)) == (400, INVALID_TOKEN)
    assert sessions.login("ada", NEW_PASSWORD, IP).access


def test_newer_token_replaces_the_older(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    first, second = requested_token(http, mailbox), requested_token(http, mailbox)

    assert reset(http, first).status == 400
    assert reset(http, second).status == 204


@pytest.mark.parametrize(("seconds", "status"), [(1799, 204), (1801, 400)])
def test_reset_token_is_valid_for_30_minutes(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, seconds: int, status: int
) -> None:
    token = requested_token(http, mailbox)
    [ticket] = Ticket.all_of_user(ada.id)
    sent_at = int(ticket.expires_at) - 1800
    monkeypatch.setattr("chalicelib.services.tickets.time.time", lambda: sent_at + seconds)

    assert reset(http, token).status == status


@pytest.mark.parametrize(("days", "status"), [(6.99, 204), (7.01, 400)])
def test_verification_token_is_valid_for_7_days(
    http: ApiClient, eve: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, days: float, status: int
) -> None:
    [ticket] = Ticket.all_of_user(eve.id)
    sent_at = int(ticket.expires_at) - 7 * 86400
    monkeypatch.setattr("chalicelib.services.tickets.time.time", lambda: sent_at + days * 86400)

    assert verify(http, mailbox.tokens("verify")[0]).status == status


def test_weak_password_leaves_the_token_valid(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    token = requested_token(http, mailbox)

    weak = reset(http, token, "12345678")
    assert weak.status == 400
    assert {field for field, _ in error_codes(weak)} == {"password"}
    assert reset(http, token).status == 204


def void_by(act: str, caller: Caller) -> None:
    match act:
        case "new address":
            users.apply_changes(caller.id, {"email": "new@example.org"})
        case "new password":
            user = User.find(caller.id)
            assert user is not None
            user.change_password("hash", lambda transaction: None)
        case "erasure":
            users.erase(caller.id)


@pytest.mark.parametrize("act", ["new address", "new password", "erasure"])
def test_change_of_the_account_makes_a_reset_token_void(
    http: ApiClient, ada: Caller, mailbox: Mailbox, act: str
) -> None:
    token = requested_token(http, mailbox)
    void_by(act, ada)

    response = reset(http, token)
    assert (response.status, error_codes(response)) == (400, INVALID_TOKEN)


@pytest.mark.parametrize("act", ["new address", "new password", "erasure", "use"])
def test_change_between_read_and_write_makes_a_token_void(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    token = requested_token(http, mailbox)

    def hash_late(password: str) -> str:
        monkeypatch.setattr(passwords, "hash_password", lambda password: "the hash of another request")
        if act == "use":
            assert reset(http, token).status == 204
        else:
            void_by(act, ada)
        return "the hash of this request"

    monkeypatch.setattr(passwords, "hash_password", hash_late)
    response = reset(http, token)

    assert (response.status, error_codes(response)) == (400, INVALID_TOKEN)
    user = User.find(ada.id)
    assert user is None or user.password_hash != "the hash of this request"


def mangled(token: str) -> dict[str, str]:
    other = "0" if token[-1] != "0" else "1"
    return {
        "empty": "",
        "no token": "nonsense",
        "another secret": token[:-1] + other,
        "another user": "0" * 16 + token[16:],
        "too long": token + "0",
        "upper case": token.upper() + "A",
    }


@pytest.mark.parametrize("change", mangled("0" * 42))
def test_wrong_tokens_have_one_response(http: ApiClient, ada: Caller, mailbox: Mailbox, change: str) -> None:
    token = mangled(requested_token(http, mailbox))[change]

    for response in (reset(http, token), verify(http, token)):
        assert (response.status, error_codes(response)) == (400, INVALID_TOKEN)
        assert response.json["detail"] == "The input is invalid."


def test_token_of_one_kind_is_none_of_the_other(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    assert reset(http, mailbox.tokens("verify")[0]).status == 400
    forget(http, "eve")
    deliver_all()
    assert verify(http, mailbox.tokens("reset")[0]).status == 400


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
    monkeypatch.setattr("chalicelib.services.account_emails.time.time", lambda: now + 3601)
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


def test_guesses_count_as_failed_passwords_of_the_address(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings().__dict__, "failed_logins_per_address", 3)
    token = requested_token(http, mailbox)
    for guess in ("0", "1", "2"):
        assert reset(http, token[:-1] + guess if token[-1] != guess else "x").status == 400

    assert reset(http, token).status == 429
    assert verify(http, "x").status == 429
    assert http.call("POST", "/auth/login/", body={"username": "ada", "password": PASSWORD}).status == 429


def test_valid_tokens_do_not_count(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings().__dict__, "failed_logins_per_address", 1)
    for number in range(3):
        assert reset(http, requested_token(http, mailbox), f"{NEW_PASSWORD} {number}").status == 204


def test_reset_lifts_the_lock_of_the_account(http: ApiClient, mailbox: Mailbox) -> None:
    accounts.register("ada", "ada@example.org", PASSWORD, Role.STUDENT)
    login = {"username": "ada", "password": "wrong"}
    assert [http.call("POST", "/auth/login/", body=login).status for _ in range(11)] == [401] * 10 + [429]

    assert reset(http, requested_token(http, mailbox)).status == 204
    assert http.call("POST", "/auth/login/", body=login | {"password": NEW_PASSWORD}).status == 200


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


def reset_message(user_id: str) -> str:
    return json.dumps(sqs.email_message(EmailKind.PASSWORD_RESET, user_id + "0" * 16, "r"))


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


def test_registration_sends_a_verification_email(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    [email] = mailbox.to("eve@example.org")
    assert "https://api.example.org/api/account/#verify=" in email.text
    assert profile(http, eve)["email_verified"] is False

    token = mailbox.tokens("verify")[0]
    assert verify(http, token).status == 204
    assert profile(http, eve)["email_verified"] is True
    again = verify(http, token)
    assert (again.status, error_codes(again)) == (400, INVALID_TOKEN)


def test_links_lead_to_the_app_of_the_school(eve: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "app_url", "https://school.example/account")
    users.apply_changes(eve.id, {"email": "eve@school.example"})
    deliver_all()

    assert "https://school.example/account#verify=" in mailbox.to("eve@school.example")[0].text


def test_verification_can_be_requested_every_60_seconds(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    def request() -> ApiResponse:
        return http.call("POST", "/auth/email/verification/", eve)

    first, second = request(), request()
    assert (first.status, first.json) == (202, {})
    assert second.status == 429
    assert 0 < int(second.headers["retry-after"]) <= 60
    window = Throttle.find(f"verifications#{eve.id}")
    assert window is not None
    assert abs(int(window.expires_at) - clock.now().timestamp() - 60) < 10
    window.update([Throttle.expires_at.set(int(clock.now().timestamp()) - 1)])
    assert request().status == 202
    deliver_all()

    tokens = mailbox.tokens("verify")
    assert len(tokens) == 3
    assert [verify(http, token).status for token in tokens] == [400, 400, 204]
    assert request().status == 409


def test_new_address_is_unverified_and_both_addresses_are_informed(
    http: ApiClient, ada: Caller, mailbox: Mailbox
) -> None:
    response = http.call("PATCH", "/auth/me/", ada, {"email": "ada@new.example"})
    assert (response.status, response.json["email_verified"]) == (200, False)
    deliver_all()

    assert [len(mailbox.to(address)) for address in ("ada@example.org", "ada@new.example")] == [1, 1]
    assert "ada@new.example" not in mailbox.to("ada@example.org")[0].text
    assert verify(http, mailbox.tokens("verify")[0]).status == 204
    assert profile(http, ada)["email_verified"] is True


def test_user_changes_the_address_five_times_a_day(http: ApiClient, ada: Caller) -> None:
    addresses = [f"ada@{number}.example" for number in range(6)]

    responses = [http.call("PATCH", "/auth/me/", ada, {"email": address}) for address in addresses]
    unchanged = http.call("PATCH", "/auth/me/", ada, {"email": addresses[4]})

    assert [response.status for response in responses] == [200] * 5 + [429]
    assert 3600 < int(responses[5].headers["retry-after"]) <= 86400
    assert unchanged.status == 200


def test_patch_without_a_change_sends_nothing(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    response = http.call("PATCH", "/auth/me/", ada, {"email": "ada@example.org"})
    deliver_all()

    assert (response.json["email_verified"], mailbox.emails) == (True, [])


def test_address_changed_between_email_and_click(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    users.apply_changes(eve.id, {"email": "eve@new.example"})

    assert verify(http, mailbox.tokens("verify")[0]).status == 400
    assert profile(http, eve)["email_verified"] is False


def test_verified_address_gets_no_further_verification(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    http.call("POST", "/auth/email/verification/", eve)
    verify(http, mailbox.tokens("verify")[0])
    deliver_all()

    assert len(mailbox.tokens("verify")) == 1


def test_stage_can_require_a_verified_address(
    http: ApiClient, eve: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = create_course(create_user(Role.INSTRUCTOR))
    monkeypatch.setitem(settings().__dict__, "is_email_verification_required", True)

    refused = http.call("POST", "/enrollments/", eve, {"course": course.id})
    assert (refused.status, error_codes(refused)) == (403, [("email", "email_unverified")])

    verify(http, mailbox.tokens("verify")[0])
    assert http.call("POST", "/enrollments/", eve, {"course": course.id}).status == 201

    users.apply_changes(eve.id, {"is_active": False})
    other = create_course(create_user(Role.INSTRUCTOR))
    assert http.call("POST", "/enrollments/", eve, {"course": other.id}).status == 401


def test_unverified_students_enroll_by_default(http: ApiClient, eve: Caller) -> None:
    course = create_course(create_user(Role.INSTRUCTOR))

    assert http.call("POST", "/enrollments/", eve, {"course": course.id}).status == 201


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


def test_audit_log_has_each_step(
    http: ApiClient, ada: Caller, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reset(http, requested_token(http, mailbox))
    forget(http, "my-secret-typed-as-a-name")
    reset(http, "x")

    lines = [fields for _, fields in log_lines(caplog, "app.audit")]
    assert [line["event"] for line in lines] == [
        "password.reset_requested",
        "password.reset",
        "password.reset_requested",
        "ticket.refused",
    ]
    assert lines[0]["user_id"] == lines[1]["user_id"] == ada.id
    assert "my-secret" not in json.dumps(lines)
    assert lines[2]["name_hmac"]


def test_ticket_compares_all_that_it_was_issued_for(ada: Caller) -> None:
    user = User.find(ada.id)
    assert user is not None
    Ticket.replace(TicketKind.RESET, user, "s" * 26, expires_at=1000)
    ticket, _ = Ticket.find_with_user(TicketKind.RESET, ada.id)
    assert ticket is not None

    assert ticket.permits("s" * 26, user, now=999)
    assert not ticket.permits("s" * 26, user, now=1000)
    assert not ticket.permits("t" * 26, user, now=999)
    for name, value in (("email", "other@example.org"), ("auth_version", 2)):
        assert not ticket.permits("s" * 26, User(**user.attribute_values | {name: value}), now=999)


def test_new_password_leaves_the_verification_link_valid(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    void_by("new password", eve)

    assert verify(http, mailbox.tokens("verify")[0]).status == 204


def test_verification_is_requested_ten_times_a_day(http: ApiClient, eve: Caller) -> None:
    responses = []
    for _ in range(11):
        responses.append(http.call("POST", "/auth/email/verification/", eve))
        Throttle.forget(f"verifications#{eve.id}")  # as after a minute

    assert [response.status for response in responses] == [202] * 10 + [429]
    assert 3600 < int(responses[10].headers["retry-after"]) <= 86400


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


def test_address_set_by_an_admin_can_be_used_at_once(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    admin = create_user(Role.ADMIN)
    http.call("PATCH", f"/users/{ada.id}/", admin, {"email": "ada@new.example"})
    forget(http)
    deliver_all()

    assert len(mailbox.tokens("reset")) == 1


def test_user_deactivated_after_the_request_gets_and_uses_no_link(
    http: ApiClient, ada: Caller, mailbox: Mailbox
) -> None:
    token = requested_token(http, mailbox)
    user = User.find(ada.id)
    assert user is not None
    user.update([User.is_active.set(False)])  # without a new auth_version, which makes the ticket void
    assert reset(http, token).status == 400

    AccountEmail.new(ada.id, EmailKind.PASSWORD_RESET, clock.timestamp(), "r", email_id="0" * 16).save()
    assert receive(reset_message(ada.id)) == []
    assert len(mailbox.tokens("reset")) == 1


def test_reset_succeeds_when_its_limits_cannot_be_lifted(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = requested_token(http, mailbox)
    monkeypatch.setattr(password_attempts, "unlock", lambda user_id: 1 / 0)

    assert reset(http, token).status == 204
    deliver_all()
    assert len(mailbox.to("ada@example.org")) == 2


def test_list_of_users_shows_whether_addresses_are_verified(http: ApiClient, eve: Caller) -> None:
    admin = create_user(Role.ADMIN)

    users_by_id = {user["id"]: user for user in http.call("GET", "/users/", admin).json["results"]}

    for user_id, is_verified in ((eve.id, False), (admin.id, True)):
        assert users_by_id[user_id] == http.call("GET", f"/users/{user_id}/", admin).json
        assert users_by_id[user_id]["email_verified"] is is_verified


def test_button_of_the_notice_leads_to_a_new_reset(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    reset(http, requested_token(http, mailbox))
    deliver_all()

    assert "https://api.example.org/api/account/#forgot" in mailbox.emails[-1].text


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


def test_verification_link_used_between_read_and_write(
    http: ApiClient, eve: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = mailbox.tokens("verify")[0]
    change = User.verify_email

    def verify_late(user: User, extend: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(User, "verify_email", change)
            assert verify(http, token).status == 204
        change(user, extend)

    with monkeypatch.context() as patch:
        patch.setattr(User, "verify_email", verify_late)
        response = verify(http, token)

    assert (response.status, error_codes(response)) == (400, INVALID_TOKEN)


def test_attempt_that_ends_with_an_error_is_released(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings().__dict__, "failed_logins_per_address", 1)
    token = requested_token(http, mailbox)
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.services.tickets.find_valid", lambda kind, token: 1 / 0)
        assert reset(http, token).status == 500

    assert reset(http, token).status == 204
