"""Idempotency-Key: repeated requests create one resource."""

import contextlib
import json
from typing import Any

import pytest

from chalicelib.adapters import sqs
from chalicelib.core.config import settings
from chalicelib.core.roles import Role
from chalicelib.models import idempotency_records
from chalicelib.models.courses import Course
from chalicelib.models.idempotency_records import IdempotencyRecord
from chalicelib.models.users import User
from chalicelib.security import signing_keys
from tests.factories import create_course, create_user
from tests.unit.conftest import log_lines, refused
from tests.unit.fake_clock import FakeClock
from tests.unit.handlers.api.idempotency import (
    KEY,
    RESOURCES,
    AwsCalls,
    Creation,
    Killed,
    killed_at,
    response_lost,
)
from tests.unit.handlers.conftest import ApiClient, ApiResponse

only_courses = pytest.mark.parametrize("resource", ["courses"])
CALLS = {  # without a key; a first request also makes one write before, and one after the transaction
    "courses": ["TransactWriteItems"],
    "lessons": ["GetItem", "TransactWriteItems"],
    "enrollments": ["GetItem", "TransactWriteItems", "SendMessage"],
}


@pytest.fixture(params=RESOURCES)
def resource(request: pytest.FixtureRequest) -> str:
    """What is created: each kind, unless a test selects some."""
    return str(request.param)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of leases and expirations."""
    clock = FakeClock(1_800_000_000)
    monkeypatch.setattr(idempotency_records, "time", clock)
    return clock


@pytest.fixture
def calls(aws: None, monkeypatch: pytest.MonkeyPatch) -> AwsCalls:
    """The calls to AWS, but for those that a process makes once."""
    signing_keys.signing_keys()
    sqs.queue_url(sqs.EMAILS)
    return AwsCalls(monkeypatch)


@pytest.fixture
def creation(http: ApiClient, resource: str, clock: FakeClock) -> Creation:
    return Creation(http, resource)


def codes(response: ApiResponse) -> list[str]:
    return [error["code"] for error in response.json.get("errors", [])]


def records() -> list[IdempotencyRecord]:
    return [*IdempotencyRecord.scan()]


def is_replayed(response: ApiResponse) -> bool:
    return response.headers.get("idempotency-replayed") == "true"


def leave_in_progress(creation: Creation, calls: AwsCalls) -> None:
    """Kill a request when the resource is created, and its record is not completed."""
    number = len(CALLS[creation.resource])
    with pytest.raises(Killed):
        calls.during(killed_at(number, after=True), creation.send)


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
    assert creation.created() == records() == []


@only_courses
def test_key_of_an_invalid_body_is_not_used(creation: Creation) -> None:
    assert creation.send(body={"title": ""}).status == 400
    assert records() == []
    assert creation.send().status == 201


def test_key_expires_after_a_day(creation: Creation, clock: FakeClock) -> None:
    first = creation.send()
    clock.now += 24 * 3600 - 1
    assert is_replayed(creation.send())

    clock.now += 1
    creation.delete(first.json["id"])
    second = creation.send()  # DynamoDB deletes an expired record within days

    assert second.status == 201
    assert not is_replayed(second)
    assert creation.created() == [second.json["id"]] != [first.json["id"]]
    assert is_replayed(creation.send())


# Visibility


@only_courses
def test_replay_of_a_hidden_course_is_410(creation: Creation) -> None:
    """As an admin who became an instructor: the course is a draft of somebody they may not read."""
    course = creation.send().json
    [row] = [course for course in Course.scan() if course.title == "Knots"]
    row.update([Course.owner_id.set(creation.admin.id)])

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


def test_request_in_progress_is_409(creation: Creation, calls: AwsCalls, clock: FakeClock) -> None:
    leave_in_progress(creation, calls)
    clock.now += 34

    response = creation.send()

    assert response.status == 409
    assert codes(response) == ["in_progress"]
    assert response.headers["retry-after"] == "1"
    assert response.json["errors"][0]["field"] == "Idempotency-Key"


def test_other_body_in_progress_is_422(creation: Creation, calls: AwsCalls) -> None:
    leave_in_progress(creation, calls)

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
    assert len(records()) == 1
    monkeypatch.setitem(settings().__dict__, "enrollments_per_student", 2)
    assert creation.send().status == 201


@only_courses
def test_outdated_caller_creates_nothing_and_keeps_no_record(creation: Creation) -> None:
    user = User(creation.caller.id)
    user.update([User.is_active.set(False)])

    assert creation.send().status == 401
    assert records() == []


# Crashes: the process ends before or after any call, and the client repeats the request


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_request_killed_at_a_call_creates_one_resource(
    http: ApiClient, resource: str, calls: AwsCalls, clock: FakeClock, after: bool
) -> None:
    for number in range(len(CALLS[resource]) + 2):
        creation = Creation(http, resource)
        with pytest.raises(Killed):
            calls.during(killed_at(number, after=after), creation.send)

        existing = creation.created()
        at_once = creation.send()
        clock.now += 35
        responses = [creation.send() for _ in range(2)]

        assert at_once.status in (201, 409)
        assert [response.status for response in responses] == [201, 201]
        assert creation.created() == [responses[0].json["id"]]
        assert existing in ([], creation.created())
        assert is_replayed(responses[0]) == (bool(existing) or at_once.status == 201)
        assert is_replayed(responses[1])


@pytest.mark.parametrize("is_created", [False, True])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_take_over_killed_at_a_call_creates_one_resource(
    http: ApiClient, resource: str, calls: AwsCalls, clock: FakeClock, after: bool, is_created: bool
) -> None:
    """The second attempt is killed, too, and a third one follows."""
    first_call = len(CALLS[resource]) if is_created else 0
    for number in range(7):
        creation = Creation(http, resource)
        with pytest.raises(Killed):
            calls.during(killed_at(first_call, after=True), creation.send)
        existing = creation.created()
        clock.now += 35
        with contextlib.suppress(Killed):
            calls.during(killed_at(number, after=after), creation.send)
        clock.now += 35
        third, fourth = creation.send(), creation.send()

        assert len(existing) == is_created
        assert (third.status, fourth.status) == (201, 201)
        assert creation.created() == [third.json["id"]] == [fourth.json["id"]]
        assert existing in ([], creation.created())


def test_lost_responses_create_one_resource(creation: Creation, calls: AwsCalls, retry_clock: FakeClock) -> None:
    """DynamoDB carries out every call twice, because its first response is lost."""
    first = calls.during(response_lost(), creation.send)
    made = [*calls.made]
    second = calls.during(response_lost(), creation.send)

    assert made.count("UpdateItem") == 4
    assert (first.status, second.status) == (201, 201)
    assert not is_replayed(first)
    assert is_replayed(second)
    assert creation.created() == [first.json["id"]]


def test_lost_responses_of_a_take_over_create_one_resource(
    creation: Creation, calls: AwsCalls, clock: FakeClock, retry_clock: FakeClock
) -> None:
    with pytest.raises(Killed):
        calls.during(killed_at(0, after=True), creation.send)
    clock.now += 35

    first = calls.during(response_lost(), creation.send)

    assert first.status == 201
    assert creation.created() == [first.json["id"]] == [creation.send().json["id"]]


@pytest.mark.parametrize("resource", ["lessons", "enrollments"])
def test_lost_responses_of_a_refusal_leave_no_record(
    creation: Creation, calls: AwsCalls, retry_clock: FakeClock
) -> None:
    response = calls.during(response_lost(), lambda: creation.send(body=creation.body | {"course": "0" * 16}))

    assert response.status == 400
    assert records() == []


def throttled(number: int) -> Any:
    """Refuse every call from this one on, because the table is throttled."""

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if current >= number and operation != "SendMessage":
            raise refused(operation, "ProvisionedThroughputExceededException")
        return respond()

    return change


@pytest.mark.parametrize("number", range(4))
def test_request_throttled_from_a_call_on_creates_one_resource(
    creation: Creation, calls: AwsCalls, clock: FakeClock, retry_clock: FakeClock, number: int
) -> None:
    if number >= len(CALLS[creation.resource]) + 1:
        pytest.skip("the resource exists by then")
    first = calls.during(throttled(number), creation.send)
    existing = creation.created()
    clock.now += 35
    responses = [creation.send(), creation.send()]

    is_created = "TransactWriteItems" in CALLS[creation.resource][: max(0, number - 1)]
    assert first.status == (201 if is_created else 429)
    assert len(existing) == is_created
    assert [response.status for response in responses] == [201, 201]
    assert creation.created() == [responses[0].json["id"]]


def test_failed_completion_does_not_fail_the_request(
    creation: Creation, calls: AwsCalls, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    writes = []

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation == "UpdateItem":
            writes.append(operation)
            if len(writes) == 2:
                raise refused(operation, "ValidationException")
        return respond()

    first = calls.during(change, creation.send)
    clock.now += 35
    second = creation.send()

    assert (first.status, second.status) == (201, 201)
    assert is_replayed(second)
    assert creation.created() == [first.json["id"]]
    [(message, _)] = log_lines(caplog, "app.error")
    assert message == "The result of a request with an Idempotency-Key is not recorded"


def fail_transaction(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
    """Carry out the transaction, and lose every response."""
    if operation != "TransactWriteItems":
        return respond()
    if parameters["ClientRequestToken"] not in SEEN:
        SEEN.add(parameters["ClientRequestToken"])
        respond()
    raise refused(operation, "InternalServerError", 500)


SEEN: set[str] = set()


def test_error_after_the_creation_is_taken_over_at_once(
    creation: Creation, calls: AwsCalls, retry_clock: FakeClock
) -> None:
    first = calls.during(fail_transaction, creation.send)
    second = creation.send()

    assert first.status == 500
    assert second.status == 201
    assert is_replayed(second)
    assert creation.created() == [second.json["id"]]


# Records that were taken over


def test_two_attempts_at_once_create_one_resource(creation: Creation, calls: AwsCalls, clock: FakeClock) -> None:
    """The first one is so slow that its lease ends, and creates the resource while the second one does."""
    responses: list[ApiResponse] = []
    pending = ["slow"]

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation == "TransactWriteItems" and pending:
            pending.clear()
            clock.now += 35
            responses.append(creation.send())
        return respond()

    slow = calls.during(change, creation.send)

    assert responses[0].status == 201
    assert slow.status in (409, 429)
    assert creation.created() == [responses[0].json["id"]]
    assert creation.send().json["id"] == responses[0].json["id"]


def test_slow_attempt_creates_between_search_and_creation_of_the_next(
    creation: Creation, calls: AwsCalls, clock: FakeClock
) -> None:
    """The transaction of the first attempt is carried out after the second one has searched its resource."""
    pending: list[Any] = []

    def hold(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation == "TransactWriteItems":
            pending.append(respond)
            raise Killed
        return respond()

    def release(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation == "TransactWriteItems" and pending:
            pending.pop()()
        return respond()

    with pytest.raises(Killed):
        calls.during(hold, creation.send)
    clock.now += 35
    response = calls.during(release, creation.send)

    assert response.status == 201
    assert is_replayed(response)
    assert creation.created() == [response.json["id"]]


@pytest.mark.parametrize("resource", ["lessons", "enrollments"])
def test_refusal_after_a_take_over_keeps_the_seed(creation: Creation, calls: AwsCalls, clock: FakeClock) -> None:
    """The first attempt's transaction is carried out when the second one was refused already."""
    pending: list[Any] = []

    def hold(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation == "TransactWriteItems":
            pending.append(respond)
            raise Killed
        return respond()

    with pytest.raises(Killed):
        calls.during(hold, creation.send)
    clock.now += 35
    owner = creation.course.owner_id
    creation.course.update([Course.is_published.set(False), Course.owner_id.set(creation.admin.id)])
    assert creation.send().status == 400
    creation.course.update([Course.is_published.set(True), Course.owner_id.set(owner)])
    pending[0]()
    [existing] = creation.created()

    response = creation.send()

    assert response.status == 201
    assert response.json["id"] == existing
    assert creation.created() == [existing]


@pytest.mark.parametrize("resource", ["enrollments"])
def test_created_resource_is_found_although_it_would_be_refused_now(
    creation: Creation, calls: AwsCalls, clock: FakeClock
) -> None:
    leave_in_progress(creation, calls)
    creation.course.update([Course.is_published.set(False)])
    clock.now += 35

    response = creation.send()

    assert response.status == 201
    assert is_replayed(response)


@only_courses
def test_course_deleted_before_the_take_over_is_410(creation: Creation, calls: AwsCalls, clock: FakeClock) -> None:
    leave_in_progress(creation, calls)
    creation.delete(creation.created()[0])
    clock.now += 35

    assert [creation.send().status for _ in range(2)] == [410, 410]
    assert creation.created() == []


@pytest.mark.parametrize("resource", ["enrollments"])
def test_take_over_after_another_enrollment_is_409(creation: Creation, calls: AwsCalls, clock: FakeClock) -> None:
    """The student withdrew, and enrolled without the key."""
    leave_in_progress(creation, calls)
    creation.delete(creation.created()[0])
    other = creation.send(None)
    clock.now += 35

    assert other.status == 201
    assert creation.send().status == 409
    assert creation.created() == [other.json["id"]]


# Without the header


def test_request_without_a_key_makes_the_calls_of_before(creation: Creation, calls: AwsCalls) -> None:
    assert calls.of(lambda: creation.send(None)) == CALLS[creation.resource]
    assert records() == []


def test_first_request_with_a_key_makes_two_more_writes(creation: Creation, calls: AwsCalls) -> None:
    assert calls.of(creation.send) == ["UpdateItem", *CALLS[creation.resource], "UpdateItem"]


def test_responses_with_and_without_a_key_have_the_same_fields(creation: Creation) -> None:
    other = creation.admin if creation.resource != "enrollments" else create_user(Role.STUDENT)

    plain, keyed = creation.send(None, caller=other), creation.send()

    assert [*plain.json] == [*keyed.json]
    assert {*plain.headers} == {*keyed.headers}


# Secrets


def test_key_is_neither_stored_nor_logged(
    creation: Creation, calls: AwsCalls, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-live-4f9d1c"
    stored = []

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        stored.append(repr(parameters))
        return respond()

    calls.during(change, lambda: [creation.send(secret), creation.send(secret), creation.send(secret + "\x7f")])
    creation.send(secret, body=creation.body | {"course": "other", "title": "Other"})

    assert stored and not any(secret in text for text in stored)
    assert not any(secret in str(record.__dict__) for record in caplog.records)


@only_courses
def test_other_endpoints_ignore_the_header(creation: Creation) -> None:
    response = creation.http.call("GET", "/courses/", creation.caller, Idempotency_Key="not a key")

    assert response.status == 200
