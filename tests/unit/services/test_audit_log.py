"""Log lines of authentication: who did what from where, and why it was refused (ASVS 5.0 16.3)."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import DomainError, InvalidInput, NotAuthenticated
from chalicelib.core.roles import Role
from chalicelib.models.sessions import Session
from chalicelib.models.tickets import TicketKind
from chalicelib.models.users import User
from chalicelib.observability import metrics
from chalicelib.security import passwords
from chalicelib.security.signing_keys import keyed_hash
from chalicelib.services import account_recovery, accounts, sessions, tickets
from tests.clients import PASSWORD
from tests.factories import create_user
from tests.unit.conftest import log_lines

HOME = "192.0.2.7"
NEW = "jackdaws love my sphinx"


@pytest.fixture
def student(aws: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Caller:
    monkeypatch.setattr(passwords, "verify_password", lambda password, kept: password == PASSWORD and kept is not None)
    monkeypatch.setattr(passwords, "hash_password", lambda password: "no hash")
    monkeypatch.setattr(passwords, "needs_rehash", lambda kept: False)
    caplog.set_level("INFO")
    return create_user(Role.STUDENT, name="ada")


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [fields for _, fields in log_lines(caplog, "app.audit")]


def every_field(caplog: pytest.LogCaptureFixture) -> str:
    return str([record.__dict__ for record in caplog.records])


def attempt(name: str, password: str) -> None:
    with pytest.raises(DomainError):
        sessions.login(name, password, HOME)


def test_login_names_user_session_and_address(student: Caller, caplog: pytest.LogCaptureFixture) -> None:
    sessions.login("ada", PASSWORD, HOME)

    [session] = [one for one in Session.all_of_user(student.id) if one.id != "s"]
    assert lines(caplog) == [{"event": "login.ok", "user_id": student.id, "session_id": session.id, "address": HOME}]


def test_failed_login_names_its_reason(student: Caller, caplog: pytest.LogCaptureFixture) -> None:
    attempt("ada", "wrong")
    attempt("My Password1", "wrong")
    User(student.id).update([User.is_active.set(False)])
    attempt("ada@example.org", PASSWORD)

    unknown = keyed_hash("my password1")
    assert [(line["event"], line["reason"], line["user_id"], line["name_hmac"]) for line in lines(caplog)] == [
        ("login.failed", "wrong password", student.id, None),
        ("login.failed", "unknown user", None, unknown),
        ("login.failed", "inactive user", student.id, None),
    ]
    assert {line["address"] for line in lines(caplog)} == {HOME}
    assert "My Password1" not in caplog.text
    assert unknown != hashlib.sha256(b"my password1").hexdigest(), "which a dictionary would find"


def test_throttled_login_is_logged(student: Caller, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(11):
        attempt("ada", "wrong")

    assert [line["event"] for line in lines(caplog)] == ["login.failed"] * 10 + ["login.throttled"]
    assert lines(caplog)[-1] == {
        "event": "login.throttled",
        "reason": "Too many failed attempts. Retry later.",
        "user_id": student.id,
        "name_hmac": None,
        "address": HOME,
    }


def test_reused_refresh_token_is_a_warning_and_counted(
    student: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(metrics, "increment", lambda name, number=1: counted.append(name))
    first = sessions.login("ada", PASSWORD, HOME).refresh
    sessions.refresh(sessions.refresh(first).refresh)
    caplog.clear()

    with pytest.raises(DomainError):
        sessions.refresh(first)

    [line] = lines(caplog)
    assert (line["event"], line["user_id"]) == ("refresh.reused", student.id)
    assert [record.levelname for record in caplog.records if record.name == "app.audit"] == ["WARNING"]
    assert counted == ["RefreshTokensReused"]


def test_logout_during_a_refresh_is_no_reuse(
    student: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, rotate = sessions.login("ada", PASSWORD, HOME).refresh, Session.rotate

    def rotate_after_logout(session: Session, **options: Any) -> bool:
        sessions.logout(token)
        return rotate(session, **options)

    monkeypatch.setattr(Session, "rotate", rotate_after_logout)

    with pytest.raises(NotAuthenticated):
        sessions.refresh(token)

    assert [line["event"] for line in lines(caplog)] == ["login.ok", "logout"]


def test_refused_tokens_logouts_and_passwords_are_logged(student: Caller, caplog: pytest.LogCaptureFixture) -> None:
    pair = sessions.login("ada", PASSWORD, HOME)
    sessions.logout(pair.refresh)
    with pytest.raises(DomainError):
        sessions.refresh("nonsense")
    with pytest.raises(DomainError):
        accounts.change_password(student, "wrong", NEW, HOME)
    accounts.change_password(student, PASSWORD, NEW, HOME)

    assert [line["event"] for line in lines(caplog)] == [
        "login.ok",
        "logout",
        "token.refused",
        "password.failed",
        "password.changed",
    ]
    assert lines(caplog)[2] == {"event": "token.refused", "reason": "malformed token", "type": "refresh"}
    for secret in (PASSWORD, NEW, pair.refresh, pair.access):
        assert secret not in str(lines(caplog))


def test_requested_password_reset_names_the_user_or_no_name(student: Caller, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("ada", "My Password1"):
        account_recovery.request_password_reset(name, HOME)

    requested = {"event": "password.reset_requested", "address": HOME}
    assert lines(caplog) == [
        requested | {"user_id": student.id, "name_hmac": None},
        requested | {"user_id": None, "name_hmac": keyed_hash("my password1")},
    ]
    assert "my password1" not in every_field(caplog).lower()


@pytest.mark.parametrize(
    ("kind", "use", "event"),
    [
        (TicketKind.RESET, lambda token: account_recovery.reset_password(token, NEW, HOME), "password.reset"),
        (TicketKind.VERIFY, lambda token: account_recovery.verify_email(token, HOME), "email.verified"),
    ],
)
def test_used_and_refused_tickets_are_logged(
    student: Caller, caplog: pytest.LogCaptureFixture, kind: TicketKind, use: Callable[[str], None], event: str
) -> None:
    user = User.find(student.id)
    assert user is not None
    token = tickets.issue_link(kind, user).partition("=")[2]

    use(token)
    with pytest.raises(InvalidInput) as refused:
        use(token)

    [field] = refused.value.fields
    assert (field.code, field.message) == (
        "invalid_token",
        "The link is invalid, was used before or has expired.",
    )
    assert log_lines(caplog, "app.audit") == [
        (
            {"password.reset": "Password reset", "email.verified": "Email address verified"}[event],
            {"event": event, "user_id": student.id, "address": HOME},
        ),
        ("Ticket refused", {"event": "ticket.refused", "kind": kind.value, "address": HOME}),
    ]
    assert token not in every_field(caplog)
