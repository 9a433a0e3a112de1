"""Access by role, route and ownership, generated from ROUTE_ACCESS: the status of each cell, and no data leaks."""

from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.core.roles import Role
from chalicelib.security.access import ROUTE_ACCESS, AccessRule, AuthMode
from tests.clients import PASSWORD, Actor, Api, log_in, register, unique
from tests.stack import RunningStack

pytestmark = pytest.mark.contract

SECRET = unique("secret")
"""Marks every text that only the owner and admins may read."""
UNKNOWN = "0" * 16

WHOSE = {
    "course_id": ("own", "draft of own", "another's", "another's draft", "deleted", "never existed"),
    "lesson_id": ("own", "draft of own", "another's", "another's draft", "deleted", "never existed"),
    "enrollment_id": ("own", "another's", "deleted", "never existed"),
    "entry_id": ("own", "another's", "deleted", "never existed"),
    "user_id": ("another's", "never existed"),
}
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/auth/register": {"username": "a", "email": "b", "password": "c"},
    "/api/v1/auth/login": {"username": "unknown", "password": "nothing"},
    "/api/v1/auth/refresh": {"refresh": "x"},
    "/api/v1/auth/logout": {"refresh": "x"},
    "/api/v1/auth/password": {"current": "wrong", "new": PASSWORD + "!"},
    "/api/v1/auth/password/forgot": {"username": "unknown"},
    "/api/v1/auth/password/reset": {"token": "x", "password": PASSWORD},
    "/api/v1/auth/email/verify": {"token": "x"},
}


@dataclass
class School:
    """Two instructors with a published course and a draft each, and two students with enrollments and waiting entries.

    The students wait for a place in a course of the first instructor.
    """

    actors: dict[str, Actor]
    ids: dict[str, dict[str, str]]
    """IDs by path parameter, owner and caller."""


def _course_with_lesson(owner: Actor, published: bool) -> tuple[str, str]:
    course = owner.create_course(description="" if published else SECRET, is_published=published)
    lesson = owner.post("/lessons/", {"course": course["id"], "title": "One", "content": "" if published else SECRET})
    return course["id"], lesson.json()["id"]


def _wait_for(course: dict[str, Any], student: Actor) -> str:
    response = student.post("/enrollments/", {"course": course["id"], "wait": True})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


@pytest.fixture(scope="package")
def school(stack: RunningStack) -> School:
    api = stack.api
    teacher, rival = register(api, "instructor"), register(api, "instructor")
    student, fellow = register(api, "student"), register(api, "student")
    name = unique("admin")
    assert stack.manage("create-admin", name, f"{name}@example.org", EDUFLOW_PASSWORD=PASSWORD).returncode == 0
    own, draft = _course_with_lesson(teacher, True), _course_with_lesson(teacher, False)
    others, others_draft = _course_with_lesson(rival, True), _course_with_lesson(rival, False)
    deleted = _course_with_lesson(teacher, True)
    teacher.call("DELETE", f"/courses/{deleted[0]}/")
    enrollments = {"own": student, "another's": fellow}
    ids = {whose: actor.enroll_in({"id": others[0]})["id"] for whose, actor in enrollments.items()}
    left = student.enroll_in({"id": own[0]})["id"]
    student.call("DELETE", f"/enrollments/{left}/")
    full = teacher.create_course(is_published=True, capacity=1, waitlist=9)
    register(api, "student").enroll_in(full)
    entries = {whose: _wait_for(full, actor) for whose, actor in enrollments.items()}
    left_entry = _wait_for(full, leaver := register(api, "student"))
    assert leaver.call("DELETE", f"/waitlist/{left_entry}/").status_code == 204
    pairs = {"own": own, "draft of own": draft, "another's": others, "another's draft": others_draft}
    pairs |= {"deleted": deleted, "never existed": (UNKNOWN, UNKNOWN + "00000000")}
    return School(
        actors={
            "admin": log_in(api, name),
            "instructor": teacher,
            "student": student,
            "anonymous": Actor(api),
        },
        ids={
            "course_id": {whose: pair[0] for whose, pair in pairs.items()},
            "lesson_id": {whose: pair[1] for whose, pair in pairs.items()},
            "enrollment_id": ids | {"deleted": left, "never existed": UNKNOWN + UNKNOWN + "00000000"},
            "entry_id": entries | {"deleted": left_entry, "never existed": UNKNOWN + UNKNOWN + "00000000"},
            "user_id": {"another's": fellow.get("/auth/me/").json()["id"], "never existed": UNKNOWN},
        },
    )


def _cells() -> list[tuple[str, str, str, str]]:
    cells = []
    for method, path in ROUTE_ACCESS:
        parameter = path.partition("{")[2].partition("}")[0]
        for whose in WHOSE.get(parameter, ("-",)):
            cells += [(method, path, whose, role) for role in (*Role, "anonymous")]
    return [cell for cell in cells if "{asset}" not in cell[1]]


def expected(access: AccessRule, method: str, path: str, whose: str, role: str) -> set[int]:
    """Return the status of a cell by the API's contract."""
    if access is AuthMode.PUBLIC:
        return {202} if path.endswith("/password/forgot") else {200, 400, 401}
    if role == "anonymous" and access is not AuthMode.OPTIONAL:
        return {401}
    if not isinstance(access, AuthMode) and role not in access:
        return {403}
    if whose in ("deleted", "never existed"):
        return {404}
    if "course_id" in path or "lesson_id" in path:
        sees = role == "admin" or "draft" not in whose or (role == "instructor" and whose == "draft of own")
        writes = role == "admin" or (role == "instructor" and "own" in whose)
        if not sees:
            return {404}
        if method == "GET":
            return {200}
        return {412} if writes else {403}
    if "enrollment_id" in path:
        return {204} if role == "admin" or whose == "own" else {404}
    if "entry_id" in path:
        if method == "GET":
            return {404} if role == "student" and whose == "another's" else {200}
        return {204} if role == "admin" or whose == "own" else {404}
    if "user_id" in path:
        return {204} if method == "DELETE" else {200}
    if path.endswith("/email/verification"):
        return {409} if role == "admin" else {202}  # `manage.py create-admin` takes the address as verified
    return {200, 400}


@pytest.mark.parametrize(("method", "path", "whose", "role"), _cells())
def test_access_matrix(school: School, gateway: Api, method: str, path: str, whose: str, role: str) -> None:
    if (method == "DELETE" and path in ("/api/v1/auth/me", "/api/v1/users/{user_id}")) or (
        method == "DELETE"
        and ("enrollment_id" in path or "entry_id" in path)
        and whose in ("own", "another's")
        and role in ("admin", "student")
    ):
        pytest.skip("it deletes what other cells need; test_users, test_enrollment_lists and test_places test it")
    actor = school.actors[role]
    parameter = path.partition("{")[2].partition("}")[0]
    called = path.replace(f"{{{parameter}}}", school.ids[parameter][whose]) if parameter else path
    # An If-Match that no version has: who may write gets as far as 412, and nothing is changed.
    options: dict[str, Any] = {"headers": {"If-Match": '"0"'}}
    if method in ("POST", "PUT", "PATCH"):
        options["json"] = BODIES.get(path, {"title": "Mine now"} if "course_id" in path or "lesson_id" in path else {})

    response = actor.call(method, called + "/", **options)

    assert response.status_code in expected(ROUTE_ACCESS[method, path], method, path, whose, role), response.text
    may_read_secrets = role == "admin" or (role == "instructor" and whose in ("-", "draft of own"))
    if not may_read_secrets:
        assert SECRET not in response.text
