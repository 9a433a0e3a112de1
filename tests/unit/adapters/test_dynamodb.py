"""Calls of DynamoDB: retried on throttling, conflicts and lost responses, with jitter, within a budget."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from pynamodb.exceptions import GetError, PutError, QueryError

from chalicelib.adapters.dynamodb import connection
from chalicelib.core import retries
from chalicelib.core.errors import Throttled
from chalicelib.models.base import Transaction
from chalicelib.models.courses import Course
from chalicelib.models.identities import Identity
from chalicelib.models.sessions import Session
from tests.unit.conftest import refused
from tests.unit.fake_clock import FakeClock

CONFLICT = "TransactionConflictException"


def test_single_write_that_meets_a_transaction_is_retried(
    fail_calls: Callable[..., list[int]], retry_clock: FakeClock
) -> None:
    calls = fail_calls("PutItem", *[refused("PutItem", CONFLICT)] * 6)

    Identity("one", user_id="u").save()

    assert len(calls) == 7
    assert all(wait <= cap for wait, cap in zip(retry_clock.waits, (0.02, 0.04, 0.08, 0.16, 0.32, 0.5), strict=True))


def _put_in_batch() -> None:
    with Identity.batch_write() as batch:
        batch.save(Identity("one", user_id="u"))


def _run_transaction() -> None:
    transaction = Transaction()
    transaction.put(Identity("one", user_id="u"))
    transaction.run()


OPERATIONS: dict[str, Callable[[], object]] = {
    "GetItem": lambda: Identity.get_or_none("one"),
    "Query": lambda: [*Session.all_of_user("one")],
    "BatchGetItem": lambda: Course.find_all(["one", "two"]),
    "PutItem": lambda: Identity("one", user_id="u").save(),
    "UpdateItem": lambda: Identity("one").update([Identity.user_id.set("u")]),
    "DeleteItem": lambda: Identity("one").delete(),
    "BatchWriteItem": _put_in_batch,
    "TransactWriteItems": _run_transaction,
}
THROTTLING = ("ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("code", THROTTLING)
def test_throttled_call_is_retried(fail_calls: Callable[..., list[int]], operation: str, code: str) -> None:
    calls = fail_calls(operation, *[refused(operation, code)] * 7)

    OPERATIONS[operation]()

    assert len(calls) == 8


@pytest.mark.parametrize("operation", OPERATIONS)
def test_lasting_throttling_is_reported(
    fail_calls: Callable[..., list[int]], retry_clock: FakeClock, operation: str
) -> None:
    fail_calls(operation, *[refused(operation, "ThrottlingException")] * 10_000)

    with pytest.raises(Throttled):
        OPERATIONS[operation]()
    assert 14.5 <= retry_clock.now <= 15


def test_request_waits_for_two_seconds_in_all(fail_calls: Callable[..., list[int]], retry_clock: FakeClock) -> None:
    fail_calls("GetItem", *[refused("GetItem", "ThrottlingException")] * 6)
    fail_calls("PutItem", *[refused("PutItem", "ThrottlingException")] * 10_000)

    with pytest.raises(Throttled), retries.request_budget():
        Identity.get_or_none("one")
        Identity("one", user_id="u").save()
    assert 1.5 <= retry_clock.now <= 2


def test_next_request_has_its_own_budget(
    fail_calls: Callable[..., list[int]], retry_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.core.retries.random.uniform", lambda shortest, longest: longest)
    for _ in range(5):
        fail_calls("GetItem", *[refused("GetItem", "ThrottlingException")] * 6)
        with retries.request_budget():
            Identity.get_or_none("one")

    assert retry_clock.now > 2


LOST = {
    "read timeout": ReadTimeoutError(endpoint_url="https://dynamodb.example"),
    "connect timeout": ConnectTimeoutError(endpoint_url="https://dynamodb.example"),
    "no connection": EndpointConnectionError(endpoint_url="https://dynamodb.example"),
    "server error": refused("PutItem", "InternalServerError", 500),
}


@pytest.mark.parametrize("name", ["read timeout", "connect timeout"])
def test_unanswered_call_is_tried_three_times(fail_calls: Callable[..., list[int]], name: str) -> None:
    calls = fail_calls("PutItem", *[LOST[name]] * 2)

    Identity("one", user_id="u").save()

    assert len(calls) == 3
    calls = fail_calls("PutItem", *[LOST[name]] * 3)
    with pytest.raises(PutError):
        Identity("one", user_id="u").save()
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["server error", "no connection"])
def test_failure_is_retried_within_the_budget(
    fail_calls: Callable[..., list[int]], retry_clock: FakeClock, name: str
) -> None:
    calls = fail_calls("PutItem", *[LOST[name]] * 9)
    Identity("one", user_id="u").save()
    assert len(calls) == 10

    fail_calls("PutItem", *[LOST[name]] * 10_000)
    with pytest.raises(PutError):
        Identity("one", user_id="u").save()
    assert retry_clock.now <= 30


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("code", ["ThrottlingException", CONFLICT])
def test_write_that_may_have_been_done_is_not_reported_as_rejected(
    fail_calls: Callable[..., list[int]], name: str, code: str
) -> None:
    fail_calls("PutItem", LOST[name], *[refused("PutItem", code)] * 10_000)

    with pytest.raises(PutError):
        Identity("one", user_id="u").save()


def test_incomplete_batch_read_is_completed(aws: None, monkeypatch: pytest.MonkeyPatch, retry_clock: FakeClock) -> None:
    names = [f"course{number}" for number in range(5)]
    for name in names:
        with Course.batch_write() as batch:
            batch.save(create_row(name))
    client = connection().client
    make, sizes = client._make_api_call, list[int]()

    def one_at_a_time(operation: str, parameters: dict[str, Any]) -> Any:
        [(table, request)] = parameters["RequestItems"].items()
        sizes.append(len(request["Keys"]))
        first = {"RequestItems": {table: request | {"Keys": request["Keys"][:1]}}}
        rest = request["Keys"][1:]
        response = make(operation, parameters | first)
        return response | {"UnprocessedKeys": {table: request | {"Keys": rest}} if rest else {}}

    monkeypatch.setattr(client, "_make_api_call", one_at_a_time)

    assert sorted(Course.find_all(names)) == names
    assert sizes == [5, 4, 3, 2, 1]
    assert len(retry_clock.waits) == 4


def create_row(name: str) -> Course:
    at = "2026-01-01T00:00:00.000000Z"
    return Course(
        name, title="t", description="", price_cents=0, is_published=False, owner_id="o", owner="o", created_at=at,
        updated_at=at,
    )  # fmt: skip


@pytest.mark.parametrize("operation", ["BatchGetItem", "BatchWriteItem"])
def test_batch_that_makes_no_progress_is_throttled(
    aws: None, monkeypatch: pytest.MonkeyPatch, retry_clock: FakeClock, operation: str
) -> None:
    name = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}[operation]

    def process_nothing(_: str, parameters: dict[str, Any]) -> Any:
        return {"Responses": {}, name: parameters["RequestItems"]}

    monkeypatch.setattr(connection().client, "_make_api_call", process_nothing)

    with pytest.raises(Throttled):
        OPERATIONS[operation]()
    assert 14.5 <= retry_clock.now <= 15


@pytest.mark.parametrize(("operation", "raised"), [("GetItem", GetError), ("Query", QueryError), ("PutItem", PutError)])
def test_invalid_call_is_raised_at_once(
    fail_calls: Callable[..., list[int]], operation: str, raised: type[Exception]
) -> None:
    calls = fail_calls(operation, refused(operation, "ValidationException"))

    with pytest.raises(raised):
        OPERATIONS[operation]()
    assert len(calls) == 1
