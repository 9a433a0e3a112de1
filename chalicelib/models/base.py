"""What every table shares: its stage's name, one connection a process, and transactions.

PynamoDB makes a session and a client for each model class, 70–150 ms each; here they share one.
"""

import random
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from typing import Any, Self, TypeVar

import botocore.session
from pynamodb.connection import Connection, TableConnection
from pynamodb.exceptions import DeleteError, PutError, TransactWriteError, UpdateError, VerboseClientError
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from chalicelib.adapters import aws
from chalicelib.core.config import settings
from chalicelib.core.errors import Busy

PATIENCE_SECONDS = 15
_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 0.5
_PASSING = ("TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded")
"""Reasons to refuse a transaction that are gone a moment later."""

Result = TypeVar("Result")


class _SharedConnection(Connection):
    """PynamoDB's connection on the process's one session."""

    @property
    def session(self) -> botocore.session.Session:
        return aws.session()

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """A single write that meets a transaction is refused too, and not retried by botocore."""
        for _ in _attempts():
            try:
                return super()._make_api_call(operation_name, operation_kwargs)
            except VerboseClientError as error:
                if error.response["Error"].get("Code") != "TransactionConflictException":
                    raise
        raise AssertionError("the attempts end with Busy")


@cache
def connection() -> Connection:
    """The one connection to DynamoDB."""
    return _SharedConnection(
        connect_timeout_seconds=aws.CONNECT_SECONDS,
        read_timeout_seconds=aws.READ_SECONDS,
        max_retry_attempts=aws.ATTEMPTS - 1,
    )


def table_name(name: str) -> str:
    """The name of this stage's table."""
    return settings().resource(name)


class Table(Model):
    """Base of the tables."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        if cls._connection is None:
            own = super()._get_connection()
            meta = own.get_meta_table()
            shared = connection()
            if meta.table_name not in shared._tables:
                shared.add_meta_table(meta)
            own.connection = shared
        return cls._connection  # type: ignore[return-value]

    @classmethod
    def row(cls, hash_key: str, range_key: str | None = None) -> Self | None:
        """The row of these keys, read consistently; None if there is none."""
        try:
            return cls.get(hash_key, range_key, consistent_read=True)
        except cls.DoesNotExist:
            return None


class ConditionFailed(Exception):
    """A transaction's conditions did not hold.

    ``failed`` has the numbers of those items: checks first, then deletes, puts and updates.
    """

    def __init__(self, failed: frozenset[int]) -> None:
        super().__init__(f"conditions failed: {sorted(failed)}")
        self.failed = failed


def held(write: Callable[[], object]) -> bool:
    """Run one conditional write; whether its condition held."""
    try:
        write()
    except (DeleteError, PutError, UpdateError) as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def transact(fill: Callable[[TransactWrite], None]) -> None:
    """Run one write transaction, again with jitter when another one held an item or a partition was too busy.

    ``fill`` adds the items, and is called anew for each attempt. DynamoDB refuses a transaction
    that meets another on the same item instead of waiting, and botocore does not retry that
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html).

    Raises ConditionFailed when a condition did not hold, Busy when others held an item for
    PATIENCE_SECONDS, TransactWriteError for all else.
    """
    for _ in _attempts():
        try:
            with TransactWrite(connection=connection()) as transaction:
                fill(transaction)
            return
        except TransactWriteError as error:
            codes = [reason.code if reason else None for reason in error.cancellation_reasons]
            if failed := _numbers(codes, "ConditionalCheckFailed"):
                raise ConditionFailed(failed) from error
            if not any(_numbers(codes, code) for code in _PASSING):
                raise


def retried(work: Callable[[], Result]) -> Result:
    """What ``work`` gives, tried again with jitter while it meets somebody who was faster.

    ``work`` reads, decides and writes under the condition that nothing changed since it read.

    Raises Busy when that happens for PATIENCE_SECONDS.
    """
    for _ in _attempts():
        try:
            return work()
        except ConditionFailed:
            continue
    raise AssertionError("the attempts end with Busy")


def _attempts() -> Iterator[int]:
    """Numbers of attempts, with a random wait after each, until patience ends.

    Raises Busy then.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    for attempt in count():
        yield attempt
        wait = random.uniform(0, min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**attempt))
        if time.monotonic() + wait > end:
            raise Busy("Too many are writing this just now: try again in a moment.")
        time.sleep(wait)


def _numbers(codes: list[Any], code: str) -> frozenset[int]:
    return frozenset(number for number, found in enumerate(codes) if found == code)
