"""/users and /reports in this process, for admins."""

import pytest

from chalicelib.core.roles import Role
from tests.factories import create_user
from tests.unit.handlers.conftest import HOST, ApiClient


def test_admin_lists_all_users_in_pages(http: ApiClient) -> None:
    admin = create_user(Role.ADMIN)
    expected = {admin.username, *(create_user(Role.STUDENT).username for _ in range(3))}

    read, url = [], "/users/?limit=2"
    while url:
        page = http.call("GET", url, admin).json
        read += [user["username"] for user in page["results"]]
        url = (page["next"] or "").partition(HOST)[2]

    assert (len(read), set(read)) == (4, expected)


def test_admin_updates_role_and_revokes_sessions(http: ApiClient) -> None:
    admin, student = create_user(Role.ADMIN), create_user(Role.STUDENT)

    changed = http.call("PATCH", f"/users/{student.id}/", admin, {"role": "instructor", "email": "a@example.org"})

    assert (changed.status, changed.json["role"], changed.json["email"]) == (200, "instructor", "a@example.org")
    assert http.call("GET", f"/users/{student.id}/", admin).json == changed.json
    assert http.call("GET", "/auth/me/", student).status == 401


def test_admin_erases_a_user(http: ApiClient) -> None:
    admin, student = create_user(Role.ADMIN), create_user(Role.STUDENT)

    assert http.call("DELETE", f"/users/{student.id}/", admin).status == 204
    assert http.call("GET", f"/users/{student.id}/", admin).status == 404


@pytest.mark.parametrize("body", [{"role": "student"}, {"is_active": False}])
def test_last_admin_is_kept(http: ApiClient, body: dict[str, object]) -> None:
    admin = create_user(Role.ADMIN)

    assert http.call("PATCH", f"/users/{admin.id}/", admin, body).status == 409


@pytest.mark.parametrize("role", [Role.STUDENT, Role.INSTRUCTOR])
def test_others_do_not_reach_admin_routes(http: ApiClient, role: Role) -> None:
    caller = create_user(role)

    for path in ("/users/", f"/users/{caller.id}/", "/reports/daily/"):
        assert http.call("GET", path, caller).status == 403


def test_reports_are_filtered_by_date(http: ApiClient) -> None:
    admin = create_user(Role.ADMIN)

    page = http.call("GET", "/reports/daily/?from=2026-01-01&to=2026-01-31", admin)
    wrong = http.call("GET", "/reports/daily/?from=yesterday", admin)

    assert (page.status, page.json["results"], wrong.status) == (200, [], 400)
