"""Idempotency-Key: a request dies or loses responses at any call to AWS, and is repeated."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from chalicelib.models.courses import Course
from tests.unit.conftest import cancelled, log_lines, refused
from tests.unit.fake_clock import FakeClock
from tests.unit.handlers.api.idempotency import (
    CALLS,
    AwsCalls,
    Creation,
    Killed,
    is_replayed,
    killed_at,
    leave_in_progress,
    only_courses,
    records,
    response_lost,
)
from tests.unit.handlers.conftest import ApiClient, ApiResponse


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_request_killed_at_a_call_creates_one_resource(
    http: ApiClient, resource: str, aws_calls: AwsCalls, lease_clock: FakeClock, after: bool
) -> None:
    for number in range(len(CALLS[resource]) + 2):
        creation = Creation(http, resource)
        with pytest.raises(Killed):
            aws_calls.during(killed_at(number, after=after), creation.send)

        existing = creation.created()
        at_once = creation.send()
        lease_clock.now += 35
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
    http: ApiClient, resource: str, aws_calls: AwsCalls, lease_clock: FakeClock, after: bool, is_created: bool
) -> None:
    """The second attempt is killed, too, and a third one follows."""
    first_call = len(CALLS[resource]) if is_created else 0
    for number in range(7):
        creation = Creation(http, resource)
        with pytest.raises(Killed):
            aws_calls.during(killed_at(first_call, after=True), creation.send)
        existing = creation.created()
        lease_clock.now += 35
        with contextlib.suppress(Killed):
            aws_calls.during(killed_at(number, after=after), creation.send)
        lease_clock.now += 35
        third, fourth = creation.send(), creation.send()

        assert len(existing) == is_created
        assert (third.status, fourth.status) == (201, 201)
        assert creation.created() == [third.json["id"]] == [fourth.json["id"]]
        assert existing in ([], creation.created())


def test_lost_responses_create_one_resource(creation: Creation, aws_calls: AwsCalls, retry_clock: FakeClock) -> None:
    """DynamoDB carries out every call twice, because its first response is lost."""
    first = aws_calls.during(response_lost(), creation.send)
    made = [*aws_calls.made]
    second = aws_calls.during(response_lost(), creation.send)

    assert made.count("UpdateItem") == 4
    assert (first.status, second.status) == (201, 201)
    assert not is_replayed(first)
    assert is_replayed(second)
    assert creation.created() == [first.json["id"]]


def test_lost_responses_of_a_take_over_create_one_resource(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock, retry_clock: FakeClock
) -> None:
    with pytest.raises(Killed):
        aws_calls.during(killed_at(0, after=True), creation.send)
    lease_clock.now += 35

    first = aws_calls.during(response_lost(), creation.send)

    assert first.status == 201
    assert creation.created() == [first.json["id"]] == [creation.send().json["id"]]


@pytest.mark.parametrize("resource", ["lessons", "enrollments"])
def test_lost_responses_of_a_refusal_leave_no_record(
    creation: Creation, aws_calls: AwsCalls, retry_clock: FakeClock
) -> None:
    response = aws_calls.during(response_lost(), lambda: creation.send(body=creation.body | {"course": "0" * 16}))

    assert response.status == 400
    assert records() == []


class LateTransaction:
    """The connection of a first transaction breaks, its repeats conflict, and it is carried out later."""

    def __init__(self, *, conflicts: int) -> None:
        self.arrive: Any = None
        self._conflicts = conflicts

    def __call__(self, current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation != "TransactWriteItems":
            return respond()
        if self.arrive is None:
            self.arrive = respond
            raise ConnectionClosedError(endpoint_url="https://dynamodb.test")
        self._conflicts -= 1
        if self._conflicts >= 0:
            if self._conflicts == 0:
                self.arrive()
            raise cancelled("TransactionConflict")
        return respond()


def test_transaction_that_arrives_during_its_repeats_creates_one_resource(
    creation: Creation, aws_calls: AwsCalls, retry_clock: FakeClock
) -> None:
    first = aws_calls.during(LateTransaction(conflicts=2), creation.send)

    assert first.status == 201
    assert creation.created() == [first.json["id"]] == [creation.send().json["id"]]


def test_transaction_that_arrives_after_its_request_creates_one_resource(
    creation: Creation, aws_calls: AwsCalls, retry_clock: FakeClock
) -> None:
    late = LateTransaction(conflicts=10_000)
    first = aws_calls.during(late, creation.send)
    late.arrive()
    second = creation.send()

    assert (first.status, second.status) == (429, 201)
    assert creation.created() == [second.json["id"]]


def throttled(number: int) -> Any:
    """Refuse every call from this one on, because the table is throttled."""

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if current >= number and operation != "SendMessage":
            raise refused(operation, "ProvisionedThroughputExceededException")
        return respond()

    return change


@pytest.mark.parametrize("number", range(4))
def test_request_throttled_from_a_call_on_creates_one_resource(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock, retry_clock: FakeClock, number: int
) -> None:
    number = min(number, len(CALLS[creation.resource]))  # some resources take fewer calls
    first = aws_calls.during(throttled(number), creation.send)
    existing = creation.created()
    lease_clock.now += 35
    responses = [creation.send(), creation.send()]

    is_created = "TransactWriteItems" in CALLS[creation.resource][: max(0, number - 1)]
    assert first.status == (201 if is_created else 429)
    assert len(existing) == is_created
    assert [response.status for response in responses] == [201, 201]
    assert creation.created() == [responses[0].json["id"]]


def test_failed_completion_does_not_fail_the_request(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    writes = []

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation == "UpdateItem":
            writes.append(operation)
            if len(writes) == 2:
                raise refused(operation, "ValidationException")
        return respond()

    first = aws_calls.during(change, creation.send)
    lease_clock.now += 35
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
    creation: Creation, aws_calls: AwsCalls, retry_clock: FakeClock
) -> None:
    first = aws_calls.during(fail_transaction, creation.send)
    second = creation.send()

    assert first.status == 500
    assert second.status == 201
    assert is_replayed(second)
    assert creation.created() == [second.json["id"]]


# Records that were taken over


def test_two_attempts_at_once_create_one_resource(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock
) -> None:
    """The first one is so slow that its lease ends, and creates the resource while the second one does."""
    responses: list[ApiResponse] = []
    pending = ["slow"]

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation == "TransactWriteItems" and pending:
            pending.clear()
            lease_clock.now += 35
            responses.append(creation.send())
        return respond()

    slow = aws_calls.during(change, creation.send)

    assert (responses[0].status, slow.status) == (201, 201)
    assert is_replayed(slow)
    assert creation.created() == [responses[0].json["id"]]
    assert creation.send().json["id"] == responses[0].json["id"]


def kill_with_pending_transaction(creation: Creation, aws_calls: AwsCalls) -> Callable[[], Any]:
    """Kill a request at its transaction, and return a function that carries this out later."""
    pending: list[Callable[[], Any]] = []

    def hold(current: int, operation: str, parameters: dict[str, Any], respond: Callable[[], Any]) -> Any:
        if operation == "TransactWriteItems":
            pending.append(respond)
            raise Killed
        return respond()

    with pytest.raises(Killed):
        aws_calls.during(hold, creation.send)
    return pending[0]


def test_slow_attempt_creates_between_search_and_creation_of_the_next(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock
) -> None:
    """The transaction of the first attempt is carried out after the second one has searched its resource."""

    def release(current: int, operation: str, parameters: dict[str, Any], respond: Any) -> Any:
        if operation == "TransactWriteItems" and pending:
            pending.pop()()
        return respond()

    pending = [kill_with_pending_transaction(creation, aws_calls)]
    lease_clock.now += 35
    response = aws_calls.during(release, creation.send)

    assert response.status == 201
    assert is_replayed(response)
    assert creation.created() == [response.json["id"]]


@pytest.mark.parametrize("resource", ["lessons", "enrollments"])
def test_refusal_after_a_take_over_keeps_the_seed(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock
) -> None:
    """The first attempt's transaction is carried out when the second one was refused already."""
    pending = [kill_with_pending_transaction(creation, aws_calls)]
    lease_clock.now += 35
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
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock
) -> None:
    leave_in_progress(creation, aws_calls)
    creation.course.update([Course.is_published.set(False)])
    lease_clock.now += 35

    response = creation.send()

    assert response.status == 201
    assert is_replayed(response)


@only_courses
def test_course_deleted_before_the_take_over_is_410(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock
) -> None:
    leave_in_progress(creation, aws_calls)
    creation.delete(creation.created()[0])
    lease_clock.now += 35

    assert [creation.send().status for _ in range(2)] == [410, 410]
    assert creation.created() == []


@pytest.mark.parametrize("resource", ["enrollments"])
def test_take_over_after_another_enrollment_is_409(
    creation: Creation, aws_calls: AwsCalls, lease_clock: FakeClock
) -> None:
    """The student withdrew, and enrolled without the key."""
    leave_in_progress(creation, aws_calls)
    creation.delete(creation.created()[0])
    other = creation.send(None)
    lease_clock.now += 35

    assert other.status == 201
    assert creation.send().status == 409
    assert creation.created() == [other.json["id"]]
