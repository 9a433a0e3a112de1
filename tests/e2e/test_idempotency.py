"""Idempotency-Key: many clients at once, through the gateway, and the same behaviour of `chalice local`."""

from collections import Counter
from typing import Any

import pytest
from requests import Response

from tests.clients import Actor, Api, call_concurrently, register, unique
from tests.e2e.apis import EACH_API
from tests.stack import RunningStack
from tests.waiting import eventually

pytestmark = pytest.mark.contract

CLIENTS = 50


def post(actor: Actor, path: str, body: Any, key: str) -> Response:
    return actor.post(path, body, headers={"Idempotency-Key": key})


def is_replayed(response: Response) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def code(response: Response) -> str:
    return str(response.json()["errors"][0]["code"])


def assert_one_created(responses: list[Response]) -> str:
    """Return the ID of the resource that one of the requests created. The others got 409, or a replay."""
    created = [response for response in responses if response.status_code == 201 and not is_replayed(response)]
    others = [response for response in responses if response not in created]
    replayed = [response for response in others if response.status_code == 201]
    in_progress = [response for response in others if response.status_code == 409]

    assert len(created) == 1, Counter(response.status_code for response in responses)
    assert len(replayed) + len(in_progress) == len(others), Counter(response.status_code for response in others)
    assert {code(response) for response in in_progress} <= {"in_progress"}
    assert {response.headers["Retry-After"] for response in in_progress} <= {"1"}
    assert {response.json()["id"] for response in replayed} <= {created[0].json()["id"]}
    return str(created[0].json()["id"])


@pytest.mark.parametrize("path", ["/courses/", "/lessons/", "/enrollments/"])
def test_concurrent_requests_with_one_key_create_one_resource(
    teacher: Actor, student: Actor, gateway: Api, path: str
) -> None:
    course, key, title = teacher.create_course(), unique("key"), unique("Title")
    actor = student if path == "/enrollments/" else teacher
    body = {"title": title} if path == "/courses/" else {"course": course["id"], "title": title}

    created = assert_one_created(call_concurrently(lambda _: post(actor, path, body, key), CLIENTS))
    later = call_concurrently(lambda _: post(actor, path, body, key), CLIENTS)

    assert {response.status_code for response in later} == {201}
    assert all(is_replayed(response) for response in later)
    assert {response.json()["id"] for response in later} == {created}
    query = {"/courses/": "?owner=me&limit=100", "/lessons/": f"?course={course['id']}", "/enrollments/": ""}[path]
    listed = actor.get(path + query).json()["results"]
    mine = listed if path == "/enrollments/" else [row for row in listed if row["title"] == title]
    assert [row["id"] for row in mine] == [created]
    lessons_count = actor.get(f"/courses/{course['id']}/").json()["lessons_count"]
    assert lessons_count == (path == "/lessons/")


def test_concurrent_requests_of_two_users_create_two_courses(teacher: Actor, gateway: Api) -> None:
    other, key = register(gateway, "instructor"), unique("key")
    body = {"title": unique("Course")}

    responses = call_concurrently(lambda number: post((teacher, other)[number % 2], "/courses/", body, key), 24)

    ids = {assert_one_created(responses[first::2]) for first in (0, 1)}
    assert len(ids) == 2


@EACH_API
def test_repeated_enrollment_is_replayed_until_it_ends(teacher: Actor, student: Actor) -> None:
    course, key = teacher.create_course(), unique("key")
    body = {"course": course["id"]}

    first, second = (post(student, "/enrollments/", body, f'"{key}"') for _ in range(2))
    other_key, other_body = post(student, "/enrollments/", body, "other"), {"course": teacher.create_course()["id"]}
    reused = post(student, "/enrollments/", other_body, key)
    student.call("DELETE", f"/enrollments/{first.json()['id']}/")
    deleted = post(student, "/enrollments/", body, key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert (is_replayed(first), is_replayed(second)) == (False, True)
    assert first.json() == second.json()
    assert first.headers["Location"] == second.headers["Location"]
    assert other_key.status_code == 409
    assert (reused.status_code, code(reused)) == (422, "key_reused")
    assert deleted.status_code == 410
    assert {response.headers["Content-Type"] for response in (other_key, reused, deleted)} == {
        "application/problem+json"
    }


@EACH_API
def test_replayed_enrollment_sends_one_email(student: Actor, teacher: Actor, stack: RunningStack) -> None:
    title, key = unique("Course"), unique("key")
    course = teacher.create_course(title=title)

    for _ in range(3):
        assert post(student, "/enrollments/", {"course": course["id"]}, key).status_code == 201

    assert len(eventually(lambda: stack.emails(title))) == 1


@EACH_API
def test_refused_request_may_be_repeated_with_another_body(teacher: Actor) -> None:
    key = unique("key")

    refused = post(teacher, "/lessons/", {"course": "0" * 16, "title": "A lesson"}, key)
    created = post(teacher, "/lessons/", {"course": teacher.create_course()["id"], "title": "A lesson"}, key)

    assert (refused.status_code, created.status_code) == (400, 201)
    assert not is_replayed(created)


@EACH_API
def test_malformed_key_is_400(teacher: Actor) -> None:
    response = post(teacher, "/courses/", {"title": "Knots"}, '"not closed')

    assert (response.status_code, code(response)) == (400, "invalid_key")


@EACH_API
def test_browsers_may_send_the_key_and_read_the_replay(anonymous: Actor) -> None:
    preflight = anonymous.call("OPTIONS", "/courses/", headers={"Origin": "https://app.example.org"})
    response = anonymous.get("/courses/")

    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Idempotency-Replayed" in response.headers["Access-Control-Expose-Headers"]
