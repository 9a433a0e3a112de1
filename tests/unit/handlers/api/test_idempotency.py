"""Idempotency-Key: repeated requests create one resource."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests

from chalicelib.core import ids
from chalicelib.core.config import settings
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.users import User
from infra.config import PROJECT
from tests.factories import create_course, create_user
from tests.unit.fake_clock import FakeClock
from tests.unit.handlers.api.idempotency import (
    CALLS,
    KEY,
    AwsCalls,
    Creation,
    Killed,
    codes,
    is_replayed,
    killed_at,
    leave_in_progress,
    only_courses,
    records,
)

# Replays


def test_repeated_request_returns_the_same_resource(creation: Creation) -> None:
    first, second = creation.send(), creation.send()

    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    assert first.headers["location"] == second.headers["location"]
    assert first.headers["location"].endswith(f"{creation.path}{first.json['id']}/")
    assert not is_replayed(first)
    assert is_replayed(second)
    assert creation.created() == [first.json["id"]]


def test_other_key_creates_another_resource_or_conflicts(creation: Creation) -> None:
    creation.send()

    other = creation.send("another")

    assert other.status == (409 if creation.resource == "enrollments" else 201)
    assert not is_replayed(other)
    assert len(creation.created()) == (1 if creation.resource == "enrollments" else 2)


def test_keys_of_users_are_separate(creation: Creation) -> None:
    other = create_user(Role.STUDENT) if creation.resource == "enrollments" else creation.admin

    first, second = creation.send(), creation.send(caller=other)

    assert (first.status, second.status) == (201, 201)
    assert not is_replayed(second)
    assert sorted(creation.created()) == sorted([first.json["id"], second.json["id"]])


@only_courses
def test_keys_of_routes_are_separate(creation: Creation) -> None:
    course = creation.send()
    lesson = creation.http.call(
        "POST", "/lessons/", creation.caller, {"title": "Knots", "course": course.json["id"]}, Idempotency_Key=KEY
    )

    assert (course.status, lesson.status) == (201, 201)
    assert not is_replayed(lesson)


@only_courses
def test_replay_returns_the_resource_as_it_is_now(creation: Creation) -> None:
    course = creation.send().json
    creation.http.call("PATCH", f"/courses/{course['id']}/", creation.caller, {"title": "Hitches"})

    assert creation.send().json["title"] == "Hitches"


def test_replay_after_deletion_is_410(creation: Creation) -> None:
    creation.delete(creation.send().json["id"])

    response = creation.send()

    assert response.status == 410
    assert response.headers["content-type"] == "application/problem+json"
    assert creation.created() == []


def test_same_body_in_another_spelling_is_replayed(creation: Creation) -> None:
    first = creation.send()

    second = creation.send(body=json.dumps(creation.body, indent=2).encode())

    assert second.status == 201
    assert second.json["id"] == first.json["id"]


def test_other_body_is_422(creation: Creation) -> None:
    creation.send()
    other = create_course(create_user(Role.INSTRUCTOR))
    body = {"courses": {"title": "Other"}}.get(creation.resource, creation.body | {"course": other.id})

    response = creation.send(body=body)

    assert response.status == 422
    assert codes(response) == ["key_reused"]
    assert creation.created() == [creation.send().json["id"]]


def test_quoted_and_bare_key_are_the_same(creation: Creation) -> None:
    creation.send(KEY)

    assert is_replayed(creation.send(f'"{KEY}"'))


@pytest.mark.parametrize("key", ["", '""', "a b", '"a', "a" * 65, '"' + "a" * 65 + '"', '"\x7f"', "a,b", '"a";b=1'])
def test_malformed_key_is_400(creation: Creation, key: str) -> None:
    response = creation.send(key)

    assert response.status == 400
    assert [(error["field"], error["code"]) for error in response.json["errors"]] == [
        ("Idempotency-Key", "invalid_key")
    ]
    assert creation.created() == []
    assert records() == []


@only_courses
def test_key_of_an_invalid_body_is_not_used(creation: Creation) -> None:
    assert creation.send(body={"title": ""}).status == 400
    assert records() == []
    assert creation.send().status == 201


def test_key_expires_after_a_day(creation: Creation, lease_clock: FakeClock) -> None:
    first = creation.send()
    lease_clock.now += 24 * 3600 - 1
    assert is_replayed(creation.send())

    lease_clock.now += 1
    creation.delete(first.json["id"])
    second = creation.send()  # DynamoDB deletes an expired record within days

    assert second.status == 201
    assert not is_replayed(second)
    assert creation.created() == [second.json["id"]] != [first.json["id"]]
    assert is_replayed(creation.send())


# Visibility


@only_courses
def test_replay_of_a_hidden_course_is_410(creation: Creation) -> None:
    """The draft has another owner now."""
    course = creation.send().json
    Course(course["id"]).update([Course.owner_id.set(creation.admin.id)])

    response = creation.send()

    assert response.status == 410
    assert course["id"] not in response.body.decode()


@pytest.mark.parametrize("resource", ["lessons"])
def test_replay_of_a_hidden_lesson_is_410(creation: Creation) -> None:
    creation.send()
    creation.course.update([Course.owner_id.set(creation.admin.id), Course.is_published.set(False)])

    assert creation.send().status == 410


@pytest.mark.parametrize("resource", ["enrollments"])
def test_replay_of_an_ended_enrollment_does_not_show_the_next(creation: Creation) -> None:
    first = creation.send().json
    creation.delete(first["id"])
    second = creation.send("second")

    assert second.status == 201
    assert creation.send().status == 410
    assert creation.send("second").json["id"] == second.json["id"]


# In progress


def test_request_in_progress_is_409(creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock) -> None:
    leave_in_progress(creation, aws_calls)
    lease_clock.now += 34

    response = creation.send()

    assert response.status == 409
    assert codes(response) == ["in_progress"]
    assert response.headers["retry-after"] == "1"
    assert response.json["errors"][0]["field"] == "Idempotency-Key"


def test_other_body_in_progress_is_422(creation: Creation, aws_calls: AwsCalls) -> None:
    leave_in_progress(creation, aws_calls)

    assert creation.send(body=creation.body | {"course": "other", "title": "Other"}).status == 422


# Refusals


@pytest.mark.parametrize("resource", ["lessons", "enrollments"])
def test_refused_request_is_judged_again(creation: Creation) -> None:
    owner = creation.course.owner_id
    creation.course.update([Course.is_published.set(False), Course.owner_id.set(creation.admin.id)])
    assert creation.send().status == 400
    assert records() == []

    creation.course.update([Course.is_published.set(True), Course.owner_id.set(owner)])
    response = creation.send()

    assert response.status == 201
    assert not is_replayed(response)


@pytest.mark.parametrize("resource", ["lessons", "enrollments"])
def test_refused_request_may_be_repeated_with_another_body(creation: Creation) -> None:
    assert creation.send(body=creation.body | {"course": "0" * 16}).status == 400

    assert creation.send().status == 201


@pytest.mark.parametrize("resource", ["enrollments"])
def test_enrollment_of_another_key_is_409_and_not_kept(creation: Creation) -> None:
    first = creation.send(None)

    assert creation.send().status == 409
    assert records() == []
    creation.delete(first.json["id"])
    assert creation.send().status == 201


@pytest.mark.parametrize("resource", ["enrollments"])
def test_rate_limited_request_is_judged_again(creation: Creation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "enrollments_per_student", 1)
    other = create_course(creation.teacher)
    creation.send("other", {"course": other.id})

    assert creation.send().status == 429
    monkeypatch.setitem(settings().__dict__, "enrollments_per_student", 2)
    assert creation.send().status == 201


@only_courses
def test_outdated_caller_creates_nothing_and_keeps_no_record(creation: Creation) -> None:
    user = User(creation.caller.id)
    user.update([User.is_active.set(False)])

    assert creation.send().status == 401
    assert records() == []


# Without the header


@pytest.mark.parametrize("resource", ["courses", "lessons"])
def test_random_id_of_another_resource_is_429(creation: Creation, monkeypatch: pytest.MonkeyPatch) -> None:
    other = creation.send(None).json["id"]
    with monkeypatch.context() as patch:
        patch.setattr(ids, "new_id", lambda: other)
        patch.setattr(ids, "new_suffix", lambda: other[ids.ID_LENGTH :])

        assert creation.send(None).status == 429

    assert creation.created() == [other]
    assert creation.send(None).json["id"] != other


def test_request_without_a_key_makes_the_calls_of_before(creation: Creation, aws_calls: AwsCalls) -> None:
    assert aws_calls.of(lambda: creation.send(None)) == CALLS[creation.resource]
    assert records() == []


def test_first_request_with_a_key_makes_two_more_writes(creation: Creation, aws_calls: AwsCalls) -> None:
    assert aws_calls.of(creation.send) == ["UpdateItem", *CALLS[creation.resource], "UpdateItem"]


def test_responses_with_and_without_a_key_have_the_same_fields(creation: Creation) -> None:
    other = creation.admin if creation.resource != "enrollments" else create_user(Role.STUDENT)

    plain, keyed = creation.send(None, caller=other), creation.send()

    assert [*plain.json] == [*keyed.json]
    assert {*plain.headers} == {*keyed.headers}


def test_replay_makes_one_write_and_the_read(creation: Creation, aws_calls: AwsCalls) -> None:
    creation.send()

    reads = ["GetItem"] * (2 if creation.resource == "lessons" else 1)  # a lesson, and who may view its course
    assert aws_calls.of(creation.send) == ["UpdateItem", *reads]


def test_request_during_another_makes_one_write(creation: Creation, aws_calls: AwsCalls) -> None:
    leave_in_progress(creation, aws_calls)

    assert aws_calls.of(creation.send) == ["UpdateItem"]


def test_record_takes_one_write_unit(creation: Creation) -> None:
    """A kilobyte is one unit, and benchmarks/costs.py counts two writes."""
    creation.send("k" * 64)
    [record] = records()

    assert len(json.dumps(record.serialize())) < 1024


# The client of README.md


class LossyRequests:
    """The module ``requests``, in a network that loses the first requests and responses.

    With ``kill_next``, the process of the next request dies after its first call to AWS.
    """

    RequestException = requests.RequestException

    def __init__(self, creation: Creation, refusals: int) -> None:
        self.creation, self.left = creation, ["request", "response", "response"][:refusals]
        self.statuses: list[int] = []
        self.kill_next: AwsCalls | None = None

    def post(self, url: str, json: Any, headers: dict[str, str], timeout: float) -> requests.Response:
        lost = self.left.pop() if self.left else None
        if lost == "request":
            raise requests.ConnectionError
        if calls := self.kill_next:
            self.kill_next = None
            with pytest.raises(Killed):
                calls.during(killed_at(0, after=True), lambda: self.creation.send(headers["Idempotency-Key"], json))
            return _response(502)
        answer = self.creation.send(headers["Idempotency-Key"], json)
        self.statuses.append(answer.status)
        if lost == "response":
            raise requests.Timeout
        return _response(answer.status, answer.body, answer.headers)


def _response(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> requests.Response:
    response = requests.Response()
    response.status_code, response._content = status, body
    response.headers.update(headers or {})
    return response


def documented_client(network: Any, clock: FakeClock) -> Callable[..., requests.Response]:
    """Return the function of the README, with a network and a clock of its own."""
    document = (PROJECT / "README.md").read_text(encoding="utf-8")
    code = document.partition("### Repeat a request")[2].partition("```python")[2].partition("```")[0]
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102
    scope |= {"requests": network, "time": clock}
    create: Callable[..., requests.Response] = scope["create"]
    return create


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_documented_client_creates_one_resource(creation: Creation, losses: int) -> None:
    clock = FakeClock()
    create = documented_client(LossyRequests(creation, losses), clock)

    response = create("https://api.example.org", "token", creation.body)

    assert response.status_code == 201
    assert creation.created() == [response.json()["id"]]
    assert len(clock.waits) == losses


def test_documented_client_waits_for_the_lease_of_a_killed_request(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock
) -> None:
    network = LossyRequests(creation, 0)
    network.kill_next = aws_calls

    response = documented_client(network, lease_clock)("https://api.example.org", "token", creation.body)

    assert response.status_code == 201
    assert 409 in network.statuses
    assert creation.created() == [response.json()["id"]]


# Secrets


def test_key_is_neither_stored_nor_logged(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-live-4f9d1c"
    stored = []

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        stored.append(repr(parameters))
        return respond()

    aws_calls.during(change, lambda: [creation.send(secret), creation.send(secret), creation.send(secret + "\x7f")])
    creation.send(secret, body=creation.body | {"course": "other", "title": "Other"})

    assert stored and not any(secret in text for text in stored)
    assert not any(secret in str(record.__dict__) for record in caplog.records)


@only_courses
def test_other_endpoints_ignore_the_header(creation: Creation) -> None:
    response = creation.http.call("GET", "/courses/", creation.caller, Idempotency_Key="not a key")

    assert response.status == 200
