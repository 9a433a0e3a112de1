"""Requests about forgotten passwords and verified addresses, and what their tests have in common."""

import json
from typing import Any

from chalicelib.adapters import sqs
from chalicelib.core.caller import Caller
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.roles import Role
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.services import users
from tests.unit.email_worker import deliver_all
from tests.unit.handlers.conftest import ApiClient, ApiResponse
from tests.unit.mailbox import Mailbox

NEW_PASSWORD = "jackdaws love my sphinx"


IP = "127.0.0.1"


INVALID_TOKEN = [("token", "invalid_token")]


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


def requested_token(http: ApiClient, mailbox: Mailbox) -> str:
    """Request a reset for ada and return the token in the email."""
    assert forget(http).status == 202
    deliver_all()
    return mailbox.tokens("reset")[-1]


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


def reset_message(user_id: str) -> str:
    return json.dumps(sqs.email_message(EmailKind.PASSWORD_RESET, user_id + "0" * 16, "r"))
