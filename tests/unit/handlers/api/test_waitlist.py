"""Places and waitlists over HTTP."""

from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.services import courses, place_settlement
from tests.factories import create_course, create_user
from tests.unit.handlers.conftest import ApiClient, ApiResponse

KEY = '"8e03978e-40d5-43dd"'


@pytest.fixture
def owner(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


@pytest.fixture
def students(aws: None) -> list[Caller]:
    return [create_user(Role.STUDENT) for _ in range(3)]


@pytest.fixture
def course(owner: Caller) -> Course:
    return create_course(owner, capacity=1, waitlist=1)


def join(http: ApiClient, student: Caller, course: Course, **headers: str) -> ApiResponse:
    return http.call("POST", "/enrollments/", student, {"course": course.id, "wait": True}, **headers)


def codes(response: ApiResponse) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in response.json.get("errors", [])]


def test_full_course_answers_202_with_the_position(http: ApiClient, course: Course, students: list[Caller]) -> None:
    first, second, third = (join(http, student, course) for student in students)

    assert first.status == 201
    assert first.headers["location"].endswith(f"/api/v1/enrollments/{first.json['id']}/")
    assert second.status == 202
    assert second.headers["location"].endswith(f"/api/v1/waitlist/{second.json['id']}/")
    assert second.json == {
        "id": second.json["id"],
        "course": course.id,
        "student": students[1].id,
        "position": 1,
        "joined_at": second.json["joined_at"],
    }
    assert (third.status, codes(third)) == (409, [("course", "waitlist_full")])


def test_full_course_is_a_conflict_without_wait(http: ApiClient, course: Course, students: list[Caller]) -> None:
    join(http, students[0], course)

    refused = http.call("POST", "/enrollments/", students[1], {"course": course.id})
    again = http.call("POST", "/enrollments/", students[0], {"course": course.id})

    assert (refused.status, codes(refused)) == (409, [("course", "full")])
    assert (again.status, codes(again)) == (409, [])


@pytest.mark.parametrize("wait", ["yes", 1, None])
def test_wait_is_a_boolean(http: ApiClient, course: Course, students: list[Caller], wait: Any) -> None:
    response = http.call("POST", "/enrollments/", students[0], {"course": course.id, "wait": wait})

    assert (response.status, codes(response)[0][0]) == (400, "wait")


def test_entry_is_found_at_its_location_and_then_as_an_enrollment(
    http: ApiClient, owner: Caller, course: Course, students: list[Caller]
) -> None:
    join(http, students[0], course)
    created = join(http, students[1], course)
    path = created.headers["location"].partition("/api/v1")[2]

    assert http.call("GET", path, students[1]).json == created.json
    assert http.call("GET", "/waitlist/", students[1]).json["results"] == [created.json]
    assert http.call("GET", f"/waitlist/?course={course.id}", owner).json["results"] == [created.json]
    courses.update(owner, course.id, {"capacity": 2}, None)
    [*place_settlement.settle(course.id, 0)]

    assert http.call("GET", path, students[1]).status == 404
    [enrollment] = http.call("GET", "/enrollments/", students[1]).json["results"]
    assert enrollment["id"] == created.json["id"]
    assert enrollment["created_at"] > created.json["joined_at"]


def test_student_leaves_the_waitlist(http: ApiClient, course: Course, students: list[Caller]) -> None:
    join(http, students[0], course)
    entry = join(http, students[1], course).json

    assert http.call("DELETE", f"/waitlist/{entry['id']}/", students[2]).status == 404
    assert http.call("DELETE", f"/waitlist/{entry['id']}/", students[1]).status == 204
    assert http.call("DELETE", f"/waitlist/{entry['id']}/", students[1]).status == 404
    assert join(http, students[2], course).json["position"] == 1


def test_repeated_request_to_wait_is_replayed_as_it_is_now(
    http: ApiClient, owner: Caller, course: Course, students: list[Caller]
) -> None:
    join(http, students[0], course)
    first = join(http, students[1], course, Idempotency_Key=KEY)
    second = join(http, students[1], course, Idempotency_Key=KEY)
    courses.update(owner, course.id, {"capacity": 2}, None)
    [*place_settlement.settle(course.id, 0)]
    third = join(http, students[1], course, Idempotency_Key=KEY)
    http.call("DELETE", f"/enrollments/{third.json['id']}/", students[1])
    fourth = join(http, students[1], course, Idempotency_Key=KEY)

    assert [response.status for response in (first, second, third, fourth)] == [202, 202, 201, 410]
    assert first.body == second.body
    assert first.headers["location"] == second.headers["location"]
    assert second.headers["idempotency-replayed"] == "true"
    assert third.json["id"] == first.json["id"]
    assert third.headers["location"].endswith(f"/enrollments/{first.json['id']}/")


def test_places_of_a_course(http: ApiClient, owner: Caller, course: Course, students: list[Caller]) -> None:
    for student in students[:2]:
        join(http, student, course)

    limited = http.call("GET", f"/courses/{course.id}/places/")
    unlimited = http.call("GET", f"/courses/{create_course(owner).id}/places/")

    assert limited.json == {"capacity": 1, "taken": 1, "left": 0, "waiting": 1}
    assert unlimited.json == {"capacity": None, "taken": None, "left": None, "waiting": None}
    assert http.call("GET", f"/courses/{'0' * 16}/places/").status == 404
    assert http.call("GET", "/courses/x/places/").status == 404


def test_course_shows_its_settings_only_if_it_has_any(http: ApiClient, owner: Caller) -> None:
    body = {"title": "Knots", "is_published": True}
    settings = {
        "capacity": 2,
        "waitlist": 3,
        "opens_at": "2026-11-22T09:30:00.000000Z",
        "closes_at": "2026-12-22T09:30:00.000000Z",
        "lessons_for": "enrolled",
    }
    plain = http.call("POST", "/courses/", owner, body).json
    limited = http.call("POST", "/courses/", owner, body | settings).json

    assert not settings.keys() & plain.keys()
    assert {name: limited[name] for name in settings} == settings
    assert http.call("GET", f"/courses/{plain['id']}/").json == plain
    assert http.call("GET", f"/courses/{limited['id']}/").json == limited


def test_client_that_knows_no_settings_removes_none(http: ApiClient, owner: Caller, course: Course) -> None:
    """A replaced course keeps its settings, unless the body has them."""
    body = {"title": "Knots", "is_published": True}

    kept = http.call("PUT", f"/courses/{course.id}/", owner, body).json
    cleared = http.call("PUT", f"/courses/{course.id}/", owner, body | {"capacity": None, "waitlist": 0}).json

    assert (kept["capacity"], kept["waitlist"]) == (1, 1)
    assert not {"capacity", "waitlist"} & cleared.keys()


def test_refused_capacity_names_its_field(
    http: ApiClient, owner: Caller, course: Course, students: list[Caller]
) -> None:
    for student in students[:2]:
        join(http, student, course)
    larger = http.call("PATCH", f"/courses/{course.id}/", owner, {"capacity": 2})
    smaller = http.call("PATCH", f"/courses/{course.id}/", owner, {"capacity": 1})
    late = http.call("PATCH", f"/courses/{create_course(owner).id}/", owner, {"capacity": 1})

    assert (larger.status, larger.json["capacity"]) == (200, 2)
    assert (smaller.status, codes(smaller)) == (409, [("capacity", "places_taken")])
    assert (late.status, codes(late)) == (409, [("capacity", "has_enrollments")])


def test_export_has_the_waiting_entries(http: ApiClient, course: Course, students: list[Caller]) -> None:
    join(http, students[0], course)
    entry = join(http, students[1], course).json

    enrolled = http.call("GET", "/auth/me/export/", students[0]).json
    waiting = http.call("GET", "/auth/me/export/", students[1]).json

    assert ([one["course"] for one in enrolled["enrollments"]], enrolled["waitlist"]) == ([course.id], [])
    assert waiting["enrollments"] == []
    [exported] = waiting["waitlist"]
    assert (exported["id"], exported["joined_at"]) == (entry["id"], entry["joined_at"])
