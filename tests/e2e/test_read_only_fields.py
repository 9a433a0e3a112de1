"""Read-only fields in requests change nothing (OWASP API3:2023)."""

from typing import Any

import pytest

from tests.clients import PASSWORD, Actor, Api, register, unique

pytestmark = pytest.mark.contract


def test_read_only_fields_of_a_body_change_nothing(teacher: Actor, student: Actor, gateway: Api) -> None:
    rival = register(gateway, "instructor").get("/auth/me/").json()
    stolen: dict[str, Any] = {"id": "0" * 16, "owner": rival["username"], "owner_id": rival["id"], "lessons_count": 9}
    stolen |= {"created_at": "2000-01-01T00:00:00.000000Z", "version": 1}

    course = teacher.create_course(**stolen)
    changed = teacher.call("PATCH", f"/courses/{course['id']}/", json=stolen).json()
    enrollment = student.post("/enrollments/", {"course": course["id"], "student": rival["id"], "id": "0" * 40}).json()
    me = student.get("/auth/me/").json()
    mine = {"role": "admin", "is_active": False, "username": "root", "id": rival["id"], "auth_version": 9}

    assert course["owner"] == teacher.username
    assert {name: changed[name] for name in stolen if name in changed} == {
        name: course[name] for name in stolen if name in course
    }
    assert not {"id", "owner_id"} & {name for name, value in stolen.items() if course.get(name) == value}
    assert (enrollment["student"], enrollment["id"][:16]) == (me["id"], me["id"])
    assert student.call("PATCH", "/auth/me/", json=mine).json() == me
    assert student.get("/users/").status_code == 403


def test_admin_role_cannot_be_self_assigned(gateway: Api) -> None:
    name = unique("ada")
    account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, "role": "admin"}

    refused = gateway.call("POST", "/auth/register/", json=account)

    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["role"]
