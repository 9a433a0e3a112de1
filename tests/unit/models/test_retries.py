"""Retries: on conflicts, throttling and lost responses, with jitter, within a budget; other failures are raised."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from pynamodb.exceptions import GetError, PutError, QueryError, TransactWriteError

from chalicelib.adapters.dynamodb import connection
from chalicelib.core import retries
from chalicelib.core.errors import Throttled, WriteContention
from chalicelib.models import base
from chalicelib.models.base import ConditionFailed, StaleRead, Transaction, retry_stale_reads
from chalicelib.models.courses import Course
from chalicelib.models.identities import Identity
from chalicelib.models.sessions import Session
from tests.unit.fake_clock import FakeClock

CONFLICT = "TransactionConflictException"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(retries, "time", clock)
    return clock


@pytest.fixture
def fail(aws: None, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Callable[..., list[int]]:
    """Let the next calls of an operation fail, and return a list that grows with each call of it."""

    def arrange(operation: str, *failures: Exception) -> list[int]:
        client, left, calls = connection().client, [*failures], list[int]()
        make = client._make_api_call

        def call(name: str, parameters: dict[str, Any]) -> Any:
            if name == operation:
                calls.append(1)
                if left:
                    raise left.pop(0)
            return make(name, parameters)

        monkeypatch.setattr(client, "_make_api_call", call)
        return calls

    return arrange


def refused(operation: str, code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


def cancelled(*codes: str) -> ClientError:
    reasons = [{"Code": code, "Message": code} for code in codes]
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": reasons,
    }
    return ClientError(response, "TransactWriteItems")


def put_two(label: str | None = None) -> None:
    transaction = Transaction()
    for name in ("one", "two"):
        transaction.put(Identity(name, user_id="u"), Identity.name.does_not_exist(), label=label and f"{label} {name}")
    transaction.run()


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_cancelled_transaction_is_retried(fail: Callable[..., list[int]], code: str) -> None:
    calls = fail("TransactWriteItems", cancelled(code, "None"), cancelled("None", code))

    put_two()

    assert len(calls) == 3
    assert Identity.get_or_none("two") is not None


@pytest.mark.parametrize("codes", [("ValidationError", "None"), ("None", "ItemCollectionSizeLimitExceeded")])
def test_other_cancellation_is_raised(fail: Callable[..., list[int]], codes: tuple[str, str]) -> None:
    calls = fail("TransactWriteItems", cancelled(*codes))

    with pytest.raises(TransactWriteError):
        put_two()
    assert len(calls) == 1


def test_failed_condition_is_named_and_not_retried(fail: Callable[..., list[int]]) -> None:
    Identity("two", user_id="another").save()
    calls = fail("TransactWriteItems", cancelled("TransactionConflict", "ConditionalCheckFailed"))

    with pytest.raises(ConditionFailed) as error:
        put_two("label")

    assert error.value.failed == {"label two"}
    assert len(calls) == 1
    assert Identity.get_or_none("one") is None
    with pytest.raises(ConditionFailed) as error:
        put_two("label")
    assert error.value.failed == {"label two"}


def test_failed_conditions_of_every_kind_are_named(aws: None) -> None:
    Identity("there", user_id="u").save()
    is_there, is_absent = Identity.name.exists(), Identity.name.does_not_exist()
    transaction = Transaction()
    transaction.update(Identity("a"), [Identity.user_id.set("x")], is_there, label="update")
    transaction.put(Identity("b", user_id="x"), is_absent, label="put that holds")
    transaction.put(Identity("there", user_id="x"), is_absent, label="put")
    transaction.delete(Identity("c"), is_there, label="delete")
    transaction.check(Identity, "d", is_there, label="check")

    with pytest.raises(ConditionFailed) as error:
        transaction.run()
    assert error.value.failed == {"update", "put", "delete", "check"}


def test_single_write_that_meets_a_transaction_is_retried(fail: Callable[..., list[int]], clock: FakeClock) -> None:
    calls = fail("PutItem", *[refused("PutItem", CONFLICT)] * 6)

    Identity("one", user_id="u").save()

    assert len(calls) == 7
    assert all(wait <= cap for wait, cap in zip(clock.waits, (0.02, 0.04, 0.08, 0.16, 0.32, 0.5), strict=True))


def _put_in_batch() -> None:
    with Identity.batch_write() as batch:
        batch.save(Identity("one", user_id="u"))


OPERATIONS: dict[str, Callable[[], object]] = {
    "GetItem": lambda: Identity.get_or_none("one"),
    "Query": lambda: [*Session.all_of_user("one")],
    "BatchGetItem": lambda: Course.find_all(["one", "two"]),
    "PutItem": lambda: Identity("one", user_id="u").save(),
    "UpdateItem": lambda: Identity("one").update([Identity.user_id.set("u")]),
    "DeleteItem": lambda: Identity("one").delete(),
    "BatchWriteItem": _put_in_batch,
    "TransactWriteItems": put_two,
}
THROTTLING = ("ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("code", THROTTLING)
def test_throttled_call_is_retried(fail: Callable[..., list[int]], operation: str, code: str) -> None:
    calls = fail(operation, *[refused(operation, code)] * 7)

    OPERATIONS[operation]()

    assert len(calls) == 8


@pytest.mark.parametrize("operation", OPERATIONS)
def test_lasting_throttling_is_reported(fail: Callable[..., list[int]], clock: FakeClock, operation: str) -> None:
    fail(operation, *[refused(operation, "ThrottlingException")] * 10_000)

    with pytest.raises(Throttled):
        OPERATIONS[operation]()
    assert 14.5 <= clock.now <= 15


def test_request_waits_for_two_seconds_in_all(fail: Callable[..., list[int]], clock: FakeClock) -> None:
    fail("GetItem", *[refused("GetItem", "ThrottlingException")] * 6)
    fail("PutItem", *[refused("PutItem", "ThrottlingException")] * 10_000)

    with pytest.raises(Throttled), retries.request_budget():
        Identity.get_or_none("one")
        Identity("one", user_id="u").save()
    assert 1.5 <= clock.now <= 2


def test_next_request_has_its_own_budget(
    fail: Callable[..., list[int]], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.core.retries.random.uniform", lambda shortest, longest: longest)
    for _ in range(5):
        fail("GetItem", *[refused("GetItem", "ThrottlingException")] * 6)
        with retries.request_budget():
            Identity.get_or_none("one")

    assert clock.now > 2


LOST = {
    "read timeout": ReadTimeoutError(endpoint_url="https://dynamodb.example"),
    "connect timeout": ConnectTimeoutError(endpoint_url="https://dynamodb.example"),
    "no connection": EndpointConnectionError(endpoint_url="https://dynamodb.example"),
    "server error": refused("PutItem", "InternalServerError", 500),
}


@pytest.mark.parametrize("name", ["read timeout", "connect timeout"])
def test_unanswered_call_is_tried_three_times(fail: Callable[..., list[int]], name: str) -> None:
    calls = fail("PutItem", *[LOST[name]] * 2)

    Identity("one", user_id="u").save()

    assert len(calls) == 3
    calls = fail("PutItem", *[LOST[name]] * 3)
    with pytest.raises(PutError):
        Identity("one", user_id="u").save()
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["server error", "no connection"])
def test_failure_is_retried_within_the_budget(fail: Callable[..., list[int]], clock: FakeClock, name: str) -> None:
    calls = fail("PutItem", *[LOST[name]] * 9)
    Identity("one", user_id="u").save()
    assert len(calls) == 10

    fail("PutItem", *[LOST[name]] * 10_000)
    with pytest.raises(PutError):
        Identity("one", user_id="u").save()
    assert clock.now <= 30


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("code", ["ThrottlingException", CONFLICT])
def test_write_that_may_have_been_done_is_not_reported_as_rejected(
    fail: Callable[..., list[int]], name: str, code: str
) -> None:
    fail("PutItem", LOST[name], *[refused("PutItem", code)] * 10_000)

    with pytest.raises(PutError):
        Identity("one", user_id="u").save()


def test_repeated_transaction_has_the_same_token(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    client, tokens = connection().client, list[str]()
    make, failures = client._make_api_call, [LOST["server error"], refused("TransactWriteItems", "ThrottlingException")]

    def call(name: str, parameters: dict[str, Any]) -> Any:
        tokens.append(parameters["ClientRequestToken"])
        result = make(name, parameters)
        if failures:
            raise failures.pop(0)  # carried out, and its response lost
        return result

    monkeypatch.setattr(client, "_make_api_call", call)
    monkeypatch.setattr(retries, "time", FakeClock())
    put_one("one")
    put_one("two")

    assert len(tokens) == 4
    assert len({*tokens[:3]}) == 1
    assert tokens[3] != tokens[0]


def put_one(name: str) -> None:
    transaction = Transaction()
    transaction.put(Identity(name, user_id="u"))
    transaction.run()


def test_incomplete_batch_read_is_completed(aws: None, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
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
    assert len(clock.waits) == 4


def create_row(name: str) -> Course:
    at = "2026-01-01T00:00:00.000000Z"
    return Course(
        name, title="t", description="", price_cents=0, is_published=False, owner_id="o", owner="o", created_at=at,
        updated_at=at,
    )  # fmt: skip


@pytest.mark.parametrize("operation", ["BatchGetItem", "BatchWriteItem"])
def test_batch_that_makes_no_progress_is_throttled(
    aws: None, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, operation: str
) -> None:
    name = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}[operation]

    def process_nothing(_: str, parameters: dict[str, Any]) -> Any:
        return {"Responses": {}, name: parameters["RequestItems"]}

    monkeypatch.setattr(connection().client, "_make_api_call", process_nothing)

    with pytest.raises(Throttled):
        OPERATIONS[operation]()
    assert 14.5 <= clock.now <= 15


@pytest.mark.parametrize(("operation", "raised"), [("GetItem", GetError), ("Query", QueryError), ("PutItem", PutError)])
def test_invalid_call_is_raised_at_once(
    fail: Callable[..., list[int]], operation: str, raised: type[Exception]
) -> None:
    calls = fail(operation, refused(operation, "ValidationException"))

    with pytest.raises(raised):
        OPERATIONS[operation]()
    assert len(calls) == 1


def test_failed_write_is_no_failed_condition(fail: Callable[..., list[int]]) -> None:
    fail("PutItem", refused("PutItem", "ValidationException"))

    with pytest.raises(PutError):
        base.try_conditional(lambda: Identity("one", user_id="u").save(Identity.name.does_not_exist()))


def test_conditional_write_reports_its_condition(aws: None) -> None:
    def insert() -> bool:
        return base.try_conditional(lambda: Identity("one", user_id="u").save(Identity.name.does_not_exist()))

    assert [insert(), insert()] == [True, False]


def test_lasting_conflict_is_write_contention(fail: Callable[..., list[int]], clock: FakeClock) -> None:
    fail("TransactWriteItems", *[cancelled("TransactionConflict", "None")] * 10_000)

    with pytest.raises(WriteContention):
        put_two()
    assert 14.5 <= clock.now <= 15


def test_stale_read_is_repeated_within_the_budget(clock: FakeClock) -> None:
    attempts: list[int] = []

    def work() -> str:
        attempts.append(1)
        if len(attempts) < 4:
            raise StaleRead
        return "done"

    assert retry_stale_reads(work) == "done"
    assert len(attempts) == len(clock.waits) + 1 == 4

    def never() -> None:
        raise StaleRead

    with pytest.raises(WriteContention):
        retry_stale_reads(never)


def test_other_failed_condition_is_raised_at_once(clock: FakeClock) -> None:
    def fails() -> None:
        raise ConditionFailed

    with pytest.raises(ConditionFailed):
        retry_stale_reads(fails)
    assert clock.waits == []
