"""Courses with a capacity, and their waitlists."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from requests import Response

from tests.clients import Actor, Api, call_concurrently, register, unique
from tests.e2e.pages import walk
from tests.stack import RunningStack
from tests.waiting import eventually

CAPACITY, WAITLIST = 2, 12
CLIENTS = 10 * CAPACITY
NO_PLACES = dict.fromkeys(("capacity", "taken", "left", "waiting"))
SUBJECT = "You have a place"


@pytest.fixture(scope="module")
def students(stack: RunningStack) -> list[Actor]:
    with ThreadPoolExecutor(4) as pool:
        return [*pool.map(lambda _: register(stack.api, "student"), range(CLIENTS))]


def join(student: Actor, course: dict[str, Any], *, wait: bool = True, key: str = "") -> Response:
    headers = {"Idempotency-Key": key} if key else {}
    return student.post("/enrollments/", {"course": course["id"], "wait": wait}, headers=headers)


def join_all(students: list[Actor], course: dict[str, Any]) -> list[dict[str, Any]]:
    """Let students join one after the other, and return their enrollments and waiting entries."""
    responses = [join(student, course) for student in students]
    assert {response.status_code for response in responses} <= {201, 202}
    return [response.json() for response in responses]


def patch(teacher: Actor, course: dict[str, Any], **fields: Any) -> Response:
    return teacher.call("PATCH", f"/courses/{course['id']}/", json=fields)


def delete(actor: Actor, path: str) -> int:
    return actor.call("DELETE", path).status_code


def code(response: Response) -> tuple[int, str, str]:
    [error] = response.json()["errors"]
    return response.status_code, error["field"], error["code"]


def places(actor: Actor, course: dict[str, Any]) -> dict[str, Any]:
    response = actor.get(f"/courses/{course['id']}/places/")
    assert response.status_code == 200, response.text
    numbers: dict[str, Any] = response.json()
    return numbers


def positions(actor: Actor, course: dict[str, Any]) -> dict[str, int]:
    """Return the positions by ID, in the order of the list."""
    entries = actor.get(f"/waitlist/?course={course['id']}&limit=100").json()["results"]
    return {entry["id"]: entry["position"] for entry in entries}


def is_enrolled(student: Actor, course: dict[str, Any]) -> bool:
    return course["id"] in [row["course"] for row in student.get("/enrollments/?limit=100").json()["results"]]


def count_emails(stack: RunningStack, student: Actor, title: str) -> Counter[str]:
    emails = stack.emails(f"{student.username}@example.org", title)
    return Counter(email["Subject"].partition(":")[0].partition(" in ")[0] for email in emails)


def test_concurrent_clients_get_as_many_places_as_there_are(
    teacher: Actor, students: list[Actor], stack: RunningStack, gateway: Api
) -> None:
    course = teacher.create_course(capacity=CAPACITY, waitlist=WAITLIST)
    title = course["title"]

    responses = call_concurrently(lambda number: join(students[number], course), CLIENTS)

    statuses = Counter(response.status_code for response in responses)
    assert statuses == {201: CAPACITY, 202: WAITLIST, 409: CLIENTS - CAPACITY - WAITLIST}
    refused = {code(response) for response in responses if response.status_code == 409}
    assert refused == {(409, "course", "waitlist_full")}
    waiting = {number: r.json() for number, r in enumerate(responses) if r.status_code == 202}
    in_order = sorted(waiting, key=lambda number: waiting[number]["position"])
    assert [waiting[number]["position"] for number in in_order] == [*range(1, WAITLIST + 1)]
    assert positions(teacher, course) == {waiting[number]["id"]: waiting[number]["position"] for number in in_order}
    assert places(teacher, course) == {"capacity": CAPACITY, "taken": CAPACITY, "left": 0, "waiting": WAITLIST}

    first = students[in_order[0]]
    [leaver, _] = [number for number, response in enumerate(responses) if response.status_code == 201]
    assert delete(students[leaver], f"/enrollments/{responses[leaver].json()['id']}/") == 204
    assert code(join(students[leaver], course, wait=False)) == (409, "course", "full")

    eventually(lambda: is_enrolled(first, course), 20)
    eventually(lambda: count_emails(stack, first, title))
    assert count_emails(stack, first, title) == {SUBJECT: 1}
    assert first.get(f"/waitlist/{waiting[in_order[0]]['id']}/").status_code == 404
    others = [waiting[number]["id"] for number in in_order[1:]]
    assert positions(teacher, course) == {entry: position for position, entry in enumerate(others, start=1)}
    assert not any(is_enrolled(students[number], course) for number in in_order[1:3])


@pytest.mark.contract
def test_waiting_entry_has_position_and_location(teacher: Actor, students: list[Actor]) -> None:
    course = teacher.create_course(capacity=1, waitlist=2)
    join_all(students[:1], course)

    waiting = join(students[1], course)

    entry = waiting.json()
    assert waiting.status_code == 202
    assert waiting.headers["Location"].endswith(f"/waitlist/{entry['id']}/")
    assert set(entry) == {"id", "course", "student", "position", "joined_at"}
    assert (entry["course"], entry["position"]) == (course["id"], 1)
    assert entry["student"] == students[1].get("/auth/me/").json()["id"]
    assert students[1].get(f"/waitlist/{entry['id']}/").json() == entry
    assert not is_enrolled(students[1], course)
    assert join(students[1], course).status_code == 409


@pytest.mark.contract
def test_full_course_refuses_with_codes(teacher: Actor, students: list[Actor]) -> None:
    course = teacher.create_course(capacity=1, waitlist=1)
    join_all(students[:2], course)

    assert code(join(students[2], course, wait=False)) == (409, "course", "full")
    assert code(join(students[2], course)) == (409, "course", "waitlist_full")


@pytest.mark.contract
def test_enrollment_outside_of_its_window_is_409(teacher: Actor, students: list[Actor]) -> None:
    now = datetime.now(UTC)
    past, future = ((now + timedelta(hours=hours)).isoformat() for hours in (-1, 1))
    early, late = teacher.create_course(opens_at=future), teacher.create_course(closes_at=past, capacity=1)

    assert code(join(students[0], early)) == (409, "course", "not_open")
    assert code(join(students[0], late)) == (409, "course", "closed")

    assert patch(teacher, early, opens_at=past).status_code == 200
    assert join(students[0], early).status_code == 201


@pytest.mark.contract
def test_waitlist_is_visible_by_role(
    teacher: Actor, admin: Actor, anonymous: Actor, students: list[Actor], api: Api
) -> None:
    course, other_teacher = teacher.create_course(capacity=1, waitlist=5), register(api, "instructor")
    _, second, third = join_all(students[:3], course)
    path = f"/waitlist/?course={course['id']}"

    assert positions(teacher, course) == positions(admin, course) == {second["id"]: 1, third["id"]: 2}
    assert positions(students[2], course) == {third["id"]: 2}
    assert positions(students[0], course) == {}
    assert third["id"] in [entry["id"] for entry in students[2].get("/waitlist/?limit=100").json()["results"]]
    assert other_teacher.get(path).status_code == 403
    assert anonymous.get(path).status_code == 401
    assert teacher.get("/waitlist/").status_code == admin.get("/waitlist/").status_code == 400
    entry = f"/waitlist/{third['id']}/"
    viewers = (students[2], teacher, admin, students[1], other_teacher, anonymous)
    assert [viewer.get(entry).status_code for viewer in viewers] == [200, 200, 200, 404, 404, 401]


@pytest.mark.contract
def test_waitlist_pages_lead_on_and_back(teacher: Actor, students: list[Actor]) -> None:
    courses = [teacher.create_course(capacity=1, waitlist=5) for _ in range(3)]
    [_, *waiting], *_ = [join_all(students[:6], course) for course in courses]
    in_order = [entry["id"] for entry in waiting]
    own = [entry["id"] for entry in students[1].get("/waitlist/?limit=100").json()["results"]]

    forward, back = walk(teacher, f"/waitlist/?course={courses[0]['id']}&limit=2")
    assert forward == back == [in_order[:2], in_order[2:4], in_order[4:]]
    forward, back = walk(students[1], "/waitlist/?limit=1")
    assert forward == back == [[entry] for entry in own]
    assert {in_order[0]} < {*own}


@pytest.mark.contract
def test_places_are_visible_as_the_course(teacher: Actor, anonymous: Actor, students: list[Actor]) -> None:
    draft = teacher.create_course(capacity=3, is_published=False)
    course = teacher.create_course(capacity=3)
    join_all(students[:1], course)

    assert places(anonymous, course) == {"capacity": 3, "taken": 1, "left": 2, "waiting": 0}
    assert places(teacher, draft) == {"capacity": 3, "taken": 0, "left": 3, "waiting": 0}
    assert places(anonymous, teacher.create_course()) == NO_PLACES
    for viewer in (anonymous, students[0]):
        assert viewer.get(f"/courses/{draft['id']}/places/").status_code == 404


@pytest.mark.contract
def test_students_and_admins_delete_waiting_entries(teacher: Actor, admin: Actor, students: list[Actor]) -> None:
    course = teacher.create_course(capacity=1, waitlist=5)
    first, second, third, fourth = join_all(students[:4], course)
    path = f"/waitlist/{second['id']}/"

    assert [delete(actor, path) for actor in (students[2], teacher)] == [404, 403]
    assert delete(students[0], f"/waitlist/{first['id']}/") == 404  # who is enrolled
    assert [delete(students[1], path), delete(students[1], path)] == [204, 404]
    assert positions(teacher, course) == {third["id"]: 1, fourth["id"]: 2}
    assert delete(admin, f"/waitlist/{third['id']}/") == 204

    assert positions(teacher, course) == {fourth["id"]: 1}
    assert join(students[1], course).json()["position"] == 2  # at the end
    assert places(teacher, course) == {"capacity": 1, "taken": 1, "left": 0, "waiting": 2}


@pytest.mark.contract
def test_larger_capacity_enrolls_who_waits(teacher: Actor, students: list[Actor], stack: RunningStack) -> None:
    course = teacher.create_course(capacity=1, waitlist=5)
    join_all(students[:4], course)

    assert patch(teacher, course, capacity=3).json()["capacity"] == 3
    eventually(lambda: is_enrolled(students[2], course))

    assert [is_enrolled(student, course) for student in students[:4]] == [True, True, True, False]
    assert places(teacher, course) == {"capacity": 3, "taken": 3, "left": 0, "waiting": 1}
    assert patch(teacher, course, capacity=None).status_code == 200
    eventually(lambda: is_enrolled(students[3], course))
    assert places(teacher, course) == NO_PLACES
    emails = [{"You are enrolled": 1}, {SUBJECT: 1}, {SUBJECT: 1}, {SUBJECT: 1}]
    eventually(lambda: [count_emails(stack, student, course["title"]) for student in students[:4]] == emails)


@pytest.mark.contract
def test_smaller_capacity_needs_free_places(teacher: Actor, students: list[Actor]) -> None:
    course, unlimited = teacher.create_course(capacity=4, waitlist=1), teacher.create_course()
    draft = teacher.create_course(is_published=False)
    join_all(students[:2], course)

    assert code(patch(teacher, course, capacity=1)) == (409, "capacity", "places_taken")
    assert patch(teacher, course, capacity=2).status_code == 200
    assert code(join(students[2], course, wait=False)) == (409, "course", "full")
    assert patch(teacher, draft, capacity=1).status_code == 200
    assert code(patch(teacher, unlimited, capacity=1)) == (409, "capacity", "has_enrollments")


@pytest.mark.contract
def test_repeated_request_follows_the_promotion(teacher: Actor, students: list[Actor]) -> None:
    course, key = teacher.create_course(capacity=1, waitlist=5), unique("key")
    [enrolled] = join_all(students[:1], course)

    waiting, repeated = (join(students[1], course, key=key) for _ in range(2))
    delete(students[0], f"/enrollments/{enrolled['id']}/")
    eventually(lambda: is_enrolled(students[1], course))
    promoted = join(students[1], course, key=key)

    responses = (waiting, repeated, promoted)
    assert [response.status_code for response in responses] == [202, 202, 201]
    assert ["Idempotency-Replayed" in response.headers for response in responses] == [False, True, True]
    assert waiting.json() == repeated.json()
    assert promoted.json()["id"] == waiting.json()["id"]
    assert promoted.headers["Location"].endswith(f"/enrollments/{waiting.json()['id']}/")
    assert delete(students[1], f"/enrollments/{waiting.json()['id']}/") == 204
    assert join(students[1], course, key=key).status_code == 410
