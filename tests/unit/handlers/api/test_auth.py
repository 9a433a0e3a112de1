"""/auth in this process: responses, headers and errors of each endpoint."""

from typing import Any

import pytest

from chalicelib.core.roles import Role
from tests.clients import PASSWORD
from tests.factories import create_course, create_user
from tests.unit.handlers.conftest import HOST, ApiClient, ApiResponse

ACCOUNT = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}


@pytest.fixture
def tokens(http: ApiClient) -> Any:
    """The token pair of a registered student."""
    http.call("POST", "/auth/register/", body=ACCOUNT)
    return http.call("POST", "/auth/login/", body={"username": "ada", "password": PASSWORD}).json


def test_register_returns_profile_and_location(http: ApiClient) -> None:
    response = http.call("POST", "/auth/register/", body=ACCOUNT)

    assert (response.status, response.headers["location"]) == (201, f"http://{HOST}/api/v1/auth/me/")
    assert (response.json["username"], response.json["role"]) == ("ada", "student")
    assert "password" not in response.body.decode()


def test_register_taken_username_is_rejected(http: ApiClient) -> None:
    http.call("POST", "/auth/register/", body=ACCOUNT)

    response = http.call("POST", "/auth/register/", body=ACCOUNT | {"email": "other@example.org"})

    assert (response.status, response.headers["content-type"]) == (409, "application/problem+json")


def test_login_tokens_are_not_cached(http: ApiClient) -> None:
    http.call("POST", "/auth/register/", body=ACCOUNT)

    response = http.call("POST", "/auth/login/", body={"username": "ada", "password": PASSWORD})

    assert (response.status, response.headers["cache-control"]) == (200, "no-store")
    assert set(response.json) == {"access", "refresh"}


def test_login_wrong_password_is_401(http: ApiClient) -> None:
    http.call("POST", "/auth/register/", body=ACCOUNT)

    response = http.call("POST", "/auth/login/", body={"username": "ada", "password": "wrong"})

    assert response.status == 401


def test_refresh_token_reuse_revokes_the_session(http: ApiClient, tokens: dict[str, str]) -> None:
    def refresh(token: str) -> ApiResponse:
        return http.call("POST", "/auth/refresh/", body={"refresh": token})

    first, repeated = refresh(tokens["refresh"]), refresh(tokens["refresh"])
    second = refresh(first.json["refresh"])
    reused, after = refresh(tokens["refresh"]), refresh(second.json["refresh"])

    assert first.json["refresh"] == repeated.json["refresh"]
    assert [one.status for one in (first, repeated, second, reused, after)] == [200, 200, 200, 401, 401]


def test_logout_revokes_the_session(http: ApiClient, tokens: dict[str, str]) -> None:
    response = http.call("POST", "/auth/logout/", body={"refresh": tokens["refresh"]})

    assert (response.status, response.body) == (204, b"")
    assert http.call("POST", "/auth/refresh/", body={"refresh": tokens["refresh"]}).status == 401


def test_access_token_is_no_refresh_token(http: ApiClient, tokens: dict[str, str]) -> None:
    assert http.call("POST", "/auth/refresh/", body={"refresh": tokens["access"]}).status == 401


def test_profile_email_is_changed(http: ApiClient) -> None:
    student = create_user(Role.STUDENT)

    changed = http.call("PATCH", "/auth/me/", student, {"email": "new@example.org"})
    unchanged = http.call("PATCH", "/auth/me/", student, {})

    assert (changed.status, changed.json["email"]) == (200, "new@example.org")
    assert unchanged.json == changed.json == http.call("GET", "/auth/me/", student).json


def test_erased_account_cannot_be_read(http: ApiClient) -> None:
    student = create_user(Role.STUDENT)

    assert http.call("DELETE", "/auth/me/", student).status == 204
    assert http.call("GET", "/auth/me/", student).status == 401


def test_account_with_published_course_is_kept(http: ApiClient) -> None:
    instructor = create_user(Role.INSTRUCTOR)
    create_course(instructor)

    assert http.call("DELETE", "/auth/me/", instructor).status == 409
    assert http.call("GET", "/auth/me/", instructor).status == 200


def test_export_contains_own_data_only(http: ApiClient) -> None:
    instructor, other = create_user(Role.INSTRUCTOR), create_user(Role.INSTRUCTOR)
    course, _ = create_course(instructor), create_course(other)
    lesson = http.call("POST", "/lessons/", instructor, {"course": course.id, "title": "One"}).json

    export = http.call("GET", "/auth/me/export/", instructor).json
    pages = [export]
    while pages[-1]["next"]:
        pages.append(http.call("GET", pages[-1]["next"].partition(HOST)[2], instructor).json)

    assert export["user"]["username"] == instructor.username
    assert [row["id"] for page in pages for row in page["courses"]] == [course.id]
    assert [row["id"] for page in pages for row in page["lessons"]] == [lesson["id"]]
    assert [row["id"] for page in pages for row in page["sessions"]] == [instructor.session_id]
    assert [row for page in pages for row in page["enrollments"]] == []


def test_password_change_revokes_sessions(http: ApiClient, tokens: dict[str, str]) -> None:
    passwords = {"current": PASSWORD, "new": "jackdaws love my sphinx"}

    response = http.call("POST", "/auth/password/", body=passwords, Authorization=f"Bearer {tokens['access']}")

    assert response.status == 204
    assert http.call("POST", "/auth/refresh/", body={"refresh": tokens["refresh"]}).status == 401
    assert http.call("POST", "/auth/login/", body={"username": "ada", "password": passwords["new"]}).status == 200
