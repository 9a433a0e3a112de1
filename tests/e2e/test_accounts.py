from typing import Any

import pytest

from tests.clients import PASSWORD, Actor, Api, unique
from tests.e2e.apis import EACH_API

pytestmark = pytest.mark.contract


def account(**fields: Any) -> dict[str, Any]:
    name = unique("ada")
    return {"username": name, "email": f"{name}@example.org", "password": PASSWORD} | fields


@EACH_API
def test_registered_user_logs_in_and_gets_the_profile(anonymous: Actor, api: Api) -> None:
    account_fields = account(role="instructor")

    registered = anonymous.post("/auth/register/", account_fields)
    tokens = anonymous.post("/auth/login/", {"username": account_fields["username"], "password": PASSWORD}).json()
    me = Actor(api, token=tokens["access"]).get("/auth/me/")

    assert registered.status_code == 201
    assert registered.headers["Location"] == f"{api.url}/api/v1/auth/me/"
    assert set(registered.json()) == {"id", "username", "email", "email_verified", "role", "date_joined"}
    assert me.status_code == 200
    assert me.json() == registered.json()
    assert me.json()["role"] == "instructor"


def test_default_role_is_student(anonymous: Actor) -> None:
    assert anonymous.post("/auth/register/", account()).json()["role"] == "student"


def test_login_by_email_ignores_case(anonymous: Actor) -> None:
    account_fields = account()
    shouted = account_fields["email"].upper()
    registered = anonymous.post("/auth/register/", account_fields | {"email": shouted})

    login = anonymous.post("/auth/login/", {"username": shouted, "password": PASSWORD})

    assert registered.json()["email"] == account_fields["email"]
    assert login.status_code == 200
    assert set(login.json()) == {"access", "refresh"}


@pytest.mark.parametrize("taken", ["username", "email"])
def test_identities_are_unique_without_case(anonymous: Actor, taken: str) -> None:
    first = account()
    anonymous.post("/auth/register/", first)

    second = anonymous.post("/auth/register/", account(**{taken: first[taken].upper()}))

    assert second.status_code == 409
    assert [error["field"] for error in second.json()["errors"]] == [taken]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "ab"),
        ("username", "with space"),
        ("username", "a" * 151),
        ("email", "not an address"),
        ("email", "a@localhost"),
        ("password", "short1!"),
        ("password", "8675309867530"),
        ("password", "password123"),
        ("password", "x" * 129),
        ("role", "admin"),
        ("role", "headmaster"),
    ],
)
def test_invalid_fields_are_named(anonymous: Actor, field: str, value: str) -> None:
    response = anonymous.post("/auth/register/", account(**{field: value}))

    assert response.status_code == 400
    assert {error["field"] for error in response.json()["errors"]} == {field}
    assert all(error["code"] and error["message"] for error in response.json()["errors"])


def test_password_similar_to_username_is_rejected(anonymous: Actor) -> None:
    account_fields = account()

    response = anonymous.post("/auth/register/", account_fields | {"password": account_fields["username"] + "1"})

    assert response.status_code == 400
    assert "password_too_similar" in {error["code"] for error in response.json()["errors"]}


def test_unknown_user_and_wrong_password_get_the_same_response(anonymous: Actor, student: Actor) -> None:
    wrong = anonymous.post("/auth/login/", {"username": student.username, "password": "not the password"})
    unknown = anonymous.post("/auth/login/", {"username": unique("unknown"), "password": "not the password"})

    changing = ("timestamp", "request_id")
    assert wrong.status_code == unknown.status_code == 401
    assert {k: v for k, v in wrong.json().items() if k not in changing} == {
        k: v for k, v in unknown.json().items() if k not in changing
    }


@EACH_API
def test_refresh_token_is_no_access_token(anonymous: Actor, api: Api, student: Actor) -> None:
    tokens = anonymous.post("/auth/login/", {"username": student.username, "password": PASSWORD}).json()

    assert Actor(api, token=tokens["refresh"]).get("/auth/me/").status_code == 401
    assert Actor(api, token=tokens["refresh"]).get("/courses/").status_code == 401
