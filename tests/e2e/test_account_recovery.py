"""Forgotten passwords and verified email addresses, from the email to the end, through the gateway."""

import pytest

from tests.clients import PASSWORD, Actor, Api, call_concurrently, log_in, register, unique
from tests.e2e.apis import EACH_API
from tests.stack import RunningStack
from tests.waiting import eventually

NEW_PASSWORD = "jackdaws love my sphinx"
_CLIENTS = 50

pytestmark = pytest.mark.contract


def _request_reset(anonymous: Actor, stack: RunningStack, student: Actor) -> str:
    """Request a reset and return the token of the email."""
    address = f"{student.username}@example.org"
    before = len(stack.tokens("reset", address))
    assert anonymous.post("/auth/password/forgot/", {"username": student.username}).status_code == 202
    tokens = eventually(lambda: stack.tokens("reset", address)[before:])
    return str(tokens[0])


@EACH_API
def test_forgotten_password_is_reset(anonymous: Actor, api: Api, stack: RunningStack) -> None:
    student = register(api, "student")
    token = _request_reset(anonymous, stack, student)

    reset = anonymous.post("/auth/password/reset/", {"token": token, "password": NEW_PASSWORD})
    again = anonymous.post("/auth/password/reset/", {"token": token, "password": PASSWORD})
    old = anonymous.post("/auth/login/", {"username": student.username, "password": PASSWORD})

    assert (reset.status_code, reset.text) == (204, "")
    assert [(one["field"], one["code"]) for one in again.json()["errors"]] == [("token", "invalid_token")]
    assert old.status_code == 401
    assert student.get("/auth/me/").status_code == 401
    assert log_in(api, student.username, NEW_PASSWORD).get("/auth/me/").status_code == 200
    eventually(lambda: stack.emails(f"{student.username}@example.org", "Your password was changed"))


def test_unknown_name_gets_the_same_response(anonymous: Actor, student: Actor) -> None:
    known, unknown = (
        anonymous.post("/auth/password/forgot/", {"username": name}) for name in (student.username, unique("ada"))
    )

    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (202, {})
    varying = {"Date", "X-Request-ID", "X-Response-Time-ms", "x-amzn-RequestId", "x-amz-apigw-id"}
    assert {*known.headers} - varying == {*unknown.headers} - varying


def test_50_simultaneous_resets_set_one_password(anonymous: Actor, api: Api, stack: RunningStack) -> None:
    student = register(api, "student")
    token = _request_reset(anonymous, stack, student)

    responses = call_concurrently(
        lambda n: anonymous.post("/auth/password/reset/", {"token": token, "password": f"{NEW_PASSWORD} {n}"}),
        _CLIENTS,
    )

    # 429: attempts of one address wait for each other for a second only.
    statuses = [response.status_code for response in responses]
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 400, 429}
    winner = statuses.index(204)
    assert log_in(api, student.username, f"{NEW_PASSWORD} {winner}").token
    eventually(lambda: stack.emails(f"{student.username}@example.org", "Your password was changed"))
    assert len(stack.emails(f"{student.username}@example.org", "Your password was changed")) == 1


@EACH_API
def test_email_address_is_verified(anonymous: Actor, api: Api, stack: RunningStack) -> None:
    student = register(api, "student")
    address = f"{student.username}@example.org"
    assert student.get("/auth/me/").json()["email_verified"] is False

    [token] = eventually(lambda: stack.tokens("verify", address))
    verified, again = (anonymous.post("/auth/email/verify/", {"token": token}) for _ in range(2))

    assert (verified.status_code, again.status_code) == (204, 400)
    assert student.get("/auth/me/").json()["email_verified"] is True
    assert student.post("/auth/email/verification/").status_code == 409


def test_verification_is_requested_again(student: Actor, stack: RunningStack) -> None:
    address = student.get("/auth/me/").json()["email"]
    eventually(lambda: stack.tokens("verify", address))

    first, second = (student.post("/auth/email/verification/") for _ in range(2))

    assert (first.status_code, first.json(), second.status_code) == (202, {}, 429)
    assert 1 <= int(second.headers["Retry-After"]) <= 60
    assert len(eventually(lambda: len(tokens := stack.tokens("verify", address)) == 2 and tokens)) == 2


def test_both_addresses_are_informed_of_a_change(student: Actor, stack: RunningStack) -> None:
    old, new = student.get("/auth/me/").json()["email"], f"{unique('new')}@example.org"

    changed = student.call("PATCH", "/auth/me/", json={"email": new})

    assert (changed.status_code, changed.json()["email_verified"]) == (200, False)
    eventually(lambda: stack.emails(old, "Your email address was changed"))
    assert eventually(lambda: stack.tokens("verify", new))
