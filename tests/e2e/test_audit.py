"""The audit log through the deployed stack: acts of admins and operators, filters, pages, and races."""

import json
from typing import Any

import pytest

from tests.clients import PASSWORD, Actor, Api, call_concurrently, register, unique
from tests.stack import RunningStack

pytestmark = pytest.mark.contract

AT_ONCE = 12
NEW_PASSWORD = "jackdaws love my big sphinx"


def id_of(actor: Actor) -> str:
    return str(actor.get("/auth/me/").json()["id"])


def entries(admin: Actor, query: str, limit: int = 100) -> list[dict[str, Any]]:
    """Return the entries of all pages of a query."""
    found, url = list[dict[str, Any]](), f"/audit/?{query}&limit={limit}"
    while url:
        page = admin.get(url).json()
        found += page["results"]
        url = page["next"]
    return found


def actions(admin: Actor, query: str) -> list[tuple[str, dict[str, Any]]]:
    return [(entry["action"], entry["changes"]) for entry in entries(admin, query)]


@pytest.fixture
def someone(gateway: Api) -> Actor:
    """A student without data of other tests."""
    return register(gateway, "student")


def test_acts_of_an_admin_are_listed_with_their_requests(admin: Actor, teacher: Actor, someone: Actor) -> None:
    user, me = id_of(someone), id_of(admin)
    course = teacher.create_course()
    enrollment = someone.enroll_in(course)
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("DELETE", f"/enrollments/{enrollment['id']}/", None),
        ("PATCH", f"/users/{user}/", {"role": "instructor"}),
        ("PATCH", f"/courses/{course['id']}/", {"is_published": False, "title": "By an admin"}),
    ]

    responses = [admin.call(method, path, json=body) for method, path, body in calls]

    assert all(response.ok for response in responses)
    about_user, about_course = entries(admin, f"subject={user}"), entries(admin, f"subject={course['id']}")
    assert [(entry["action"], entry["subject"], entry["changes"]) for entry in about_user] == [
        ("user.role_changed", user, {"role": ["student", "instructor"]}),
        ("enrollment.ended", enrollment["id"], {}),
    ]
    assert sorted((entry["action"], str(entry["changes"])) for entry in about_course) == [
        ("course.changed", "{'title': True}"),
        ("course.unpublished", "{'is_published': [True, False]}"),
    ]
    for entry in about_user + about_course:
        assert (entry["actor"], entry["actor_role"], entry["via"]) == (me, "admin", "api")
    ended, changed, unpublished = (response.headers["X-Request-ID"] for response in responses)
    assert [entry["request_id"] for entry in about_user] == [changed, ended]
    assert {entry["request_id"] for entry in about_course} == {unpublished}


def test_own_acts_have_no_entries_but_those_on_access(admin: Actor, teacher: Actor, someone: Actor) -> None:
    user = id_of(someone)
    enrollment = someone.enroll_in(teacher.create_course())
    assert someone.call("DELETE", f"/enrollments/{enrollment['id']}/").status_code == 204
    assert someone.call("PATCH", "/auth/me/", json={"email": f"{unique('new')}@example.org"}).status_code == 200
    assert actions(admin, f"actor={user}") == []

    assert someone.post("/auth/password/", {"current": "wrong", "new": NEW_PASSWORD}).status_code == 400
    assert someone.post("/auth/password/", {"current": PASSWORD, "new": NEW_PASSWORD}).status_code == 204

    [entry] = entries(admin, f"actor={user}")
    assert (entry["action"], entry["subject"], entry["actor_role"]) == ("password.changed", user, "student")


def test_erasure_leaves_its_entries_without_personal_data(admin: Actor, someone: Actor) -> None:
    user = id_of(someone)
    admin.call("PATCH", f"/users/{user}/", json={"email": f"{unique('new')}@example.org"})
    assert admin.call("DELETE", f"/users/{user}/").status_code == 204

    listed = entries(admin, f"subject={user}")

    assert [entry["action"] for entry in listed] == ["user.erased", "user.email_changed"]
    assert someone.username not in str(listed)
    assert "@" not in str(listed)


def test_pages_and_filters(admin: Actor, someone: Actor) -> None:
    user, me = id_of(someone), id_of(admin)
    for number in range(7):
        changed = admin.call("PATCH", f"/users/{user}/", json={"is_active": bool(number % 2)})
        assert changed.status_code == 200
    every = entries(admin, f"subject={user}")

    assert [entry["action"] for entry in every] == ["user.deactivated", "user.reactivated"] * 3 + ["user.deactivated"]
    assert entries(admin, f"subject={user}", limit=2) == every
    assert entries(admin, f"subject={user}&action=user.reactivated", limit=1) == every[1::2]
    assert entries(admin, f"subject={user}&actor={me}", limit=3) == every
    assert entries(admin, f"subject={user}&actor=operator") == []
    today = every[0]["at"][:10]
    assert entries(admin, f"subject={user}&from={today}&to={today}") == [e for e in every if e["at"][:10] == today]
    assert entries(admin, f"subject={user}&to=2026-01-01") == []
    second = admin.get(admin.get(f"/audit/?subject={user}&limit=2").json()["next"]).json()
    assert admin.get(second["previous"]).json()["results"] == every[:2]
    assert [entry for entry in entries(admin, "") if entry["subject"] == user] == every


def test_concurrent_equal_changes_are_one_act(admin: Actor, teacher: Actor, someone: Actor) -> None:
    user, course = id_of(someone), teacher.create_course()["id"]

    changed = call_concurrently(lambda _: admin.call("PATCH", f"/users/{user}/", json={"role": "instructor"}), AT_ONCE)
    deleted = call_concurrently(lambda _: admin.call("DELETE", f"/courses/{course}/"), AT_ONCE)

    assert {response.status_code for response in changed} == {200}
    assert sorted(response.status_code for response in deleted) == [204] + [404] * (AT_ONCE - 1)
    assert actions(admin, f"subject={user}") == [("user.role_changed", {"role": ["student", "instructor"]})]
    assert actions(admin, f"subject={course}") == [("course.deleted", {})]


def test_concurrent_different_changes_leave_an_entry_each(stack: RunningStack, admin: Actor, someone: Actor) -> None:
    """Each change of a role increments the version of the account."""
    user, roles = id_of(someone), ("instructor", "student")

    responses = call_concurrently(
        lambda number: admin.call("PATCH", f"/users/{user}/", json={"role": roles[number % 2]}), AT_ONCE
    )

    assert {response.status_code for response in responses} <= {200, 429}  # 429: it lost all races for two seconds
    row = stack.aws("dynamodb").get_item(TableName=f"eduflow-users-{stack.stage}", Key={"id": {"S": user}})["Item"]
    changes = [entry["changes"]["role"] for entry in entries(admin, f"subject={user}")]
    assert len(changes) == int(row["auth_version"]["N"]) - 1
    there, back = changes.count(["student", "instructor"]), changes.count(["instructor", "student"])
    assert there + back == len(changes)
    assert there - back == (row["role"]["S"] == "instructor")


def test_operators_acts_are_listed_by_their_command(stack: RunningStack, admin: Actor) -> None:
    name = unique("admin")
    assert stack.manage("create-admin", name, f"{name}@example.org", EDUFLOW_PASSWORD=PASSWORD).returncode == 0

    shown = stack.manage("audit", "--subject-name", name, "--since", "1d")

    [line] = [json.loads(text) for text in shown.stdout.splitlines()]
    assert (line["actor"], line["actor_role"], line["via"]) == ("operator", None, "operator")
    assert (line["action"], line["changes"]) == ("user.created", {"role": [None, "admin"]})
    assert len(line["request_id"]) == 36
    assert entries(admin, f"subject={line['subject']}") == [line]


def test_lifted_lock_is_an_act_of_an_operator(
    stack: RunningStack, admin: Actor, someone: Actor, anonymous: Actor
) -> None:
    user = id_of(someone)
    for _ in range(2):
        anonymous.post("/auth/login/", {"username": someone.username, "password": "wrong"})

    first, second = stack.manage("unlock", someone.username), stack.manage("unlock", someone.username)

    assert "can log in again" in first.stdout
    assert "was not locked" in second.stdout
    assert [(entry["action"], entry["via"]) for entry in entries(admin, f"subject={user}")] == [
        ("user.unlocked", "operator")
    ]


def test_audit_log_is_for_admins(teacher: Actor, student: Actor, anonymous: Actor) -> None:
    statuses = [actor.get("/audit/").status_code for actor in (teacher, student, anonymous)]

    assert statuses == [403, 403, 401]
    assert [actor.call("DELETE", "/audit/").status_code for actor in (teacher, student)] == [405, 405]
