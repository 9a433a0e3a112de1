"""Links that reset a password, from the email to the new password."""

import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import NotAuthenticated
from chalicelib.core.roles import Role
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.tickets import Ticket, TicketKind
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import accounts, password_attempts, sessions
from tests.clients import PASSWORD
from tests.unit.email_worker import deliver_all, receive
from tests.unit.handlers.api.recovery import (
    INVALID_TOKEN,
    IP,
    NEW_PASSWORD,
    error_codes,
    forget,
    requested_token,
    reset,
    reset_message,
    verify,
    void_by,
    with_session,
)
from tests.unit.handlers.conftest import ApiClient
from tests.unit.mailbox import Mailbox


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


def test_weak_password_leaves_the_token_valid(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    token = requested_token(http, mailbox)

    weak = reset(http, token, "12345678")
    assert weak.status == 400
    assert {field for field, _ in error_codes(weak)} == {"password"}
    assert reset(http, token).status == 204


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


def test_button_of_the_notice_leads_to_a_new_reset(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    reset(http, requested_token(http, mailbox))
    deliver_all()

    assert "https://api.example.org/api/account/#forgot" in mailbox.emails[-1].text


def test_attempt_that_ends_with_an_error_is_released(
    http: ApiClient, ada: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings().__dict__, "failed_logins_per_address", 1)
    token = requested_token(http, mailbox)
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.services.tickets.find_valid", lambda kind, token: 1 / 0)
        assert reset(http, token).status == 500

    assert reset(http, token).status == 204
