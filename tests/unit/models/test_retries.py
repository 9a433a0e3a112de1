"""Retries of writes: on conflicts and throttling, with jitter, within their budget; any other failure is raised."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pynamodb.exceptions import PutError, TransactWriteError

from chalicelib.core.errors import WriteContention
from chalicelib.models import base
from chalicelib.models.base import ConditionFailed, StaleRead, Transaction, connection, retry_stale_reads
from chalicelib.models.identities import Identity
from tests.unit.fake_clock import FakeClock

CONFLICT = "TransactionConflictException"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(base, "time", clock)
    return clock


@pytest.fixture
def fail(aws: None, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Callable[..., list[int]]:
    """Let the next calls of an operation fail, and return a list that grows with each call of it."""

    def arrange(operation: str, *failures: ClientError) -> list[int]:
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


def refused(operation: str, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


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


def test_other_error_of_a_single_write_is_raised(fail: Callable[..., list[int]]) -> None:
    calls = fail("PutItem", refused("PutItem", "ValidationException"))

    with pytest.raises(PutError):
        Identity("one", user_id="u").save()
    assert len(calls) == 1


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "InternalServerError"])
def test_failed_write_is_no_failed_condition(fail: Callable[..., list[int]], code: str) -> None:
    fail("PutItem", *[refused("PutItem", code)] * 9)

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
    assert base.RETRY_BUDGET_SECONDS - 0.5 <= clock.now <= base.RETRY_BUDGET_SECONDS


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
