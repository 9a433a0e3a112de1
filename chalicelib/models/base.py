"""What every table shares: its stage's name, one connection a process, and transactions.

PynamoDB makes a session and a client for each model class, 70–150 ms each; here they share one.
"""

import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import botocore.session
from pynamodb.connection import Connection, TableConnection
from pynamodb.exceptions import TransactWriteError
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from chalicelib import aws
from chalicelib.settings import settings

TRANSACTION_ATTEMPTS = 8
_BACKOFF_SECONDS = 0.02

Result = TypeVar("Result")


class _SharedConnection(Connection):
    """PynamoDB's connection on the process's one session."""

    @property
    def session(self) -> botocore.session.Session:
        return aws.session()


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


class ConditionFailed(Exception):
    """A transaction's conditions did not hold.

    ``failed`` has the numbers of those items: checks first, then deletes, puts and updates.
    """

    def __init__(self, failed: frozenset[int]) -> None:
        super().__init__(f"conditions failed: {sorted(failed)}")
        self.failed = failed


def transact(fill: Callable[[TransactWrite], None]) -> None:
    """Run one write transaction, again with jitter when another one held an item.

    ``fill`` adds the items, and is called anew for each attempt. DynamoDB refuses a transaction
    that meets another on the same item instead of waiting, and botocore does not retry that
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html).

    Raises ConditionFailed when a condition did not hold, TransactWriteError for all else.
    """
    for attempt in range(TRANSACTION_ATTEMPTS):
        try:
            with TransactWrite(connection=connection()) as transaction:
                fill(transaction)
            return
        except TransactWriteError as error:
            codes = [reason.code if reason else None for reason in error.cancellation_reasons]
            if failed := _numbers(codes, "ConditionalCheckFailed"):
                raise ConditionFailed(failed) from error
            if not _numbers(codes, "TransactionConflict") or attempt == TRANSACTION_ATTEMPTS - 1:
                raise
        _wait(attempt)


def _numbers(codes: list[Any], code: str) -> frozenset[int]:
    return frozenset(number for number, found in enumerate(codes) if found == code)


def retried(work: Callable[[], Result]) -> Result:
    """What ``work`` gives, tried again with jitter while it meets somebody who was faster.

    ``work`` reads, decides and writes under the condition that nothing changed since it read.

    Raises ConditionFailed when that happens TRANSACTION_ATTEMPTS times.
    """
    for attempt in range(TRANSACTION_ATTEMPTS - 1):
        try:
            return work()
        except ConditionFailed:
            _wait(attempt)
    return work()


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0, _BACKOFF_SECONDS * 2**attempt))
