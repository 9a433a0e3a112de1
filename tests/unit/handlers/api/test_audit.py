"""GET /audit/: its fields, filters and pages."""

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.services import users
from tests.factories import create_user
from tests.unit.handlers.conftest import ApiClient

FIELDS = {
    "id", "at", "actor", "actor_role", "via", "action", "subject_kind", "subject", "changes", "request_id",
}  # fmt: skip


@pytest.fixture
def admin(aws: None) -> Caller:
    return create_user(Role.ADMIN)


def test_entry_has_the_fields_and_request_of_its_act(admin: Caller, http: ApiClient) -> None:
    student = create_user(Role.STUDENT)
    changed = http.call("PATCH", f"/users/{student.id}/", admin, {"role": "instructor"})

    listed = http.call("GET", f"/audit/?subject={student.id}", admin)

    assert listed.status == 200
    assert listed.headers["cache-control"] == "no-store"
    [entry] = listed.json["results"]
    assert set(entry) == FIELDS
    assert entry["request_id"] == changed.headers["x-request-id"]
    assert (entry["actor"], entry["actor_role"], entry["via"]) == (admin.id, "admin", "api")
    assert (entry["action"], entry["subject_kind"], entry["subject"]) == ("user.role_changed", "user", student.id)
    assert entry["changes"] == {"role": ["student", "instructor"]}


def test_links_keep_the_filters(admin: Caller, http: ApiClient) -> None:
    students = [create_user(Role.STUDENT) for _ in range(3)]
    for student in students:
        users.update(admin, student.id, {"is_active": False})

    path, found = f"/audit/?actor={admin.id}&action=user.deactivated&from=2026-01-01&limit=1", list[str]()
    while path:
        page = http.call("GET", path, admin).json
        found += [entry["subject"] for entry in page["results"]]
        path = page["next"] and page["next"].partition("/api/v1")[2]

    assert found == [student.id for student in reversed(students)]


@pytest.mark.parametrize(
    ("query", "field"),
    [("from=yesterday", "from"), ("to=2026-13-01", "to"), ("limit=0", "limit"), (f"actor={'a' * 101}", "actor")],
)
def test_invalid_filter_is_named(admin: Caller, http: ApiClient, query: str, field: str) -> None:
    response = http.call("GET", f"/audit/?{query}", admin)

    assert (response.status, [error["field"] for error in response.json["errors"]]) == (400, [field])


def test_cursor_is_bound_to_its_filters(admin: Caller, http: ApiClient) -> None:
    for _ in range(2):
        users.update(admin, create_user(Role.STUDENT).id, {"is_active": False})
    cursor = http.call("GET", "/audit/?limit=1", admin).json["next"].partition("cursor=")[2]

    response = http.call("GET", f"/audit/?limit=1&actor={admin.id}&cursor={cursor}", admin)

    assert [error["code"] for error in response.json["errors"]] == ["invalid_cursor"]


def test_audit_log_is_for_admins(http: ApiClient) -> None:
    assert http.call("GET", "/audit/").status == 401
    for role in (Role.STUDENT, Role.INSTRUCTOR):
        assert http.call("GET", "/audit/", create_user(role)).status == 403
