"""Transactions and optimistic locking: retries within the budget, and the errors that end them."""

from collections.abc import Callable
from typing import Any

import pytest
from pynamodb.exceptions import PutError, TransactWriteError

from chalicelib.adapters.dynamodb import connection
from chalicelib.core import retries
from chalicelib.core.errors import WriteContention
from chalicelib.models import base
from chalicelib.models.base import ConditionFailed, StaleRead, Transaction, retry_stale_reads
from chalicelib.models.identities import Identity
from tests.unit.conftest import cancelled, refused
from tests.unit.fake_clock import FakeClock


def put_two(label: str | None = None) -> None:
    transaction = Transaction()
    for name in ("one", "two"):
        transaction.put(Identity(name, user_id="u"), Identity.name.does_not_exist(), label=label and f"{label} {name}")
    transaction.run()


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_cancelled_transaction_is_retried(fail_calls: Callable[..., list[int]], code: str) -> None:
    calls = fail_calls("TransactWriteItems", cancelled(code, "None"), cancelled("None", code))

    put_two()

    assert len(calls) == 3
    assert Identity.get_or_none("two") is not None


@pytest.mark.parametrize("codes", [("ValidationError", "None"), ("None", "ItemCollectionSizeLimitExceeded")])
def test_other_cancellation_is_raised(fail_calls: Callable[..., list[int]], codes: tuple[str, str]) -> None:
    calls = fail_calls("TransactWriteItems", cancelled(*codes))

    with pytest.raises(TransactWriteError):
        put_two()
    assert len(calls) == 1


def test_failed_condition_is_named_and_not_retried(fail_calls: Callable[..., list[int]]) -> None:
    Identity("two", user_id="another").save()
    calls = fail_calls("TransactWriteItems", cancelled("TransactionConflict", "ConditionalCheckFailed"))

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


def test_repeated_transaction_has_the_same_token(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    client, tokens = connection().client, list[str]()
    make, failures = (
        client._make_api_call,
        [
            refused("TransactWriteItems", "InternalServerError", 500),
            refused("TransactWriteItems", "ThrottlingException"),
        ],
    )

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


def test_failed_write_is_no_failed_condition(fail_calls: Callable[..., list[int]]) -> None:
    fail_calls("PutItem", refused("PutItem", "ValidationException"))

    with pytest.raises(PutError):
        base.try_conditional(lambda: Identity("one", user_id="u").save(Identity.name.does_not_exist()))


def test_conditional_write_reports_its_condition(aws: None) -> None:
    def insert() -> bool:
        return base.try_conditional(lambda: Identity("one", user_id="u").save(Identity.name.does_not_exist()))

    assert [insert(), insert()] == [True, False]


def test_lasting_conflict_is_write_contention(fail_calls: Callable[..., list[int]], retry_clock: FakeClock) -> None:
    fail_calls("TransactWriteItems", *[cancelled("TransactionConflict", "None")] * 10_000)

    with pytest.raises(WriteContention):
        put_two()
    assert 14.5 <= retry_clock.now <= 15


def test_stale_read_is_repeated_within_the_budget(retry_clock: FakeClock) -> None:
    attempts: list[int] = []

    def work() -> str:
        attempts.append(1)
        if len(attempts) < 4:
            raise StaleRead
        return "done"

    assert retry_stale_reads(work) == "done"
    assert len(attempts) == len(retry_clock.waits) + 1 == 4

    def never() -> None:
        raise StaleRead

    with pytest.raises(WriteContention):
        retry_stale_reads(never)


def test_other_failed_condition_is_raised_at_once(retry_clock: FakeClock) -> None:
    def fails() -> None:
        raise ConditionFailed

    with pytest.raises(ConditionFailed):
        retry_stale_reads(fails)
    assert retry_clock.waits == []
