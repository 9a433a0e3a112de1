"""The base of all tables: lazy names, one shared connection, transactions and retries on write conflicts."""

import random
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache
from itertools import count
from typing import Any, Self, TypeVar

import botocore.session
from pynamodb.connection import Connection, TableConnection
from pynamodb.exceptions import DeleteError, PutError, TransactWriteError, UpdateError, VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from chalicelib.adapters import aws
from chalicelib.core.config import settings
from chalicelib.core.errors import WriteContention

RETRY_BUDGET_SECONDS = 15
_BACKOFF_BASE_SECONDS = 0.02
_BACKOFF_CAP_SECONDS = 0.5
# Reasons of a cancelled transaction after which a retry can succeed.
_RETRYABLE_CODES = ("TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded")

Result = TypeVar("Result")


class _SharedConnection(Connection):
    """PynamoDB's connection on the process-wide session."""

    @property
    def session(self) -> botocore.session.Session:
        return aws.session()

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Retry a single write that conflicts with a transaction: botocore does not."""
        for _ in _backoff():
            try:
                return super()._make_api_call(operation_name, operation_kwargs)
            except VerboseClientError as error:
                if error.response["Error"].get("Code") != "TransactionConflictException":
                    raise
        raise AssertionError("the backoff ends with WriteContention")


@cache
def connection() -> Connection:
    """Return the process-wide connection to DynamoDB.

    PynamoDB would create a session and a client for each model class, which takes 70 to 150 ms each.
    """
    return _SharedConnection(
        connect_timeout_seconds=aws.CONNECT_TIMEOUT_SECONDS,
        read_timeout_seconds=aws.READ_TIMEOUT_SECONDS,
        max_retry_attempts=aws.MAX_ATTEMPTS - 1,
    )


class _LazyTableName(type):
    """Resolves ``table_name`` when it is first used, so that importing a model needs no configuration."""

    name: str

    @property
    def table_name(cls) -> str:
        return settings().resource_name(cls.name)


class TableMeta(metaclass=_LazyTableName):
    """Base of the ``Meta`` classes: ``name`` is the name of the table without project and stage."""


class Table(Model):
    """Base of the tables."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        if cls._connection is None:
            table = super()._get_connection()
            meta = table.get_meta_table()
            shared = connection()
            if meta.table_name not in shared._tables:
                shared.add_meta_table(meta)
            table.connection = shared
        return cls._connection  # type: ignore[return-value]

    @classmethod
    def get_or_none(cls, hash_key: str, range_key: str | None = None) -> Self | None:
        """Return the row of a key by a consistent read, or None if there is none."""
        try:
            return cls.get(hash_key, range_key, consistent_read=True)
        except cls.DoesNotExist:
            return None


class ConditionFailed(Exception):
    """Conditions of a transaction failed; ``failed`` has the labels of their items. Nothing was written."""

    def __init__(self, failed: frozenset[Hashable] = frozenset()) -> None:
        super().__init__(f"conditions failed: {sorted(map(str, failed))}")
        self.failed = failed


class StaleRead(ConditionFailed):
    """A row changed after it was read. A retry reads it again."""


class Transaction:
    """The items of one write transaction. A ``label`` names an item in ConditionFailed."""

    def __init__(self) -> None:
        self._writes: list[Callable[[TransactWrite], None]] = []
        self._labels: dict[str, list[Hashable]] = {"check": [], "delete": [], "put": [], "update": []}

    def check(self, model: type[Model], key: str, condition: Condition, label: Hashable = None) -> None:
        """Add a condition on a row that is not written."""
        self._add("check", label, lambda write: write.condition_check(model, key, condition=condition))

    def delete(self, row: Model, condition: Condition | None = None, label: Hashable = None) -> None:
        """Add the deletion of a row."""
        self._add("delete", label, lambda write: write.delete(row, condition=condition))

    def put(self, row: Model, condition: Condition | None = None, label: Hashable = None) -> None:
        """Add a whole row."""
        self._add("put", label, lambda write: write.save(row, condition=condition))

    def update(
        self, row: Model, actions: Sequence[Action], condition: Condition | None = None, label: Hashable = None
    ) -> None:
        """Add changes of a row's attributes."""
        self._add("update", label, lambda write: write.update(row, [*actions], condition=condition))

    def run(self) -> None:
        """Run the transaction; retry with jittered backoff on conflicts and throttling.

        DynamoDB cancels a transaction that conflicts with another one instead of queueing it, and botocore does not
        retry that (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html).

        Raises:
            ConditionFailed: A condition failed.
            WriteContention: Conflicts lasted for RETRY_BUDGET_SECONDS.
            TransactWriteError: Any other failure.
        """
        for _ in _backoff():
            try:
                with TransactWrite(connection=connection()) as write:
                    for add_to in self._writes:
                        add_to(write)
                return
            except TransactWriteError as error:
                codes = [reason.code if reason else None for reason in error.cancellation_reasons]
                if "ConditionalCheckFailed" in codes:
                    raise ConditionFailed(self._labels_of(codes)) from error
                if not any(code in _RETRYABLE_CODES for code in codes):
                    raise

    def _add(self, kind: str, label: Hashable, add_to: Callable[[TransactWrite], None]) -> None:
        self._writes.append(add_to)
        self._labels[kind].append(label)

    def _labels_of(self, codes: list[Any]) -> frozenset[Hashable]:
        # PynamoDB sends checks first, then deletes, puts and updates; DynamoDB returns reasons in the same order.
        labels = [label for kind in self._labels.values() for label in kind]
        pairs = zip(labels, codes, strict=False)
        return frozenset(label for label, code in pairs if code == "ConditionalCheckFailed")


def try_conditional(write: Callable[[], object]) -> bool:
    """Run a conditional write and return whether its condition held."""
    try:
        write()
    except (DeleteError, PutError, UpdateError) as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def retry_stale_reads(work: Callable[[], Result]) -> Result:
    """Call ``work`` until it succeeds, retrying with jittered backoff when it raises StaleRead.

    ``work`` reads, decides, and writes under the condition that nothing changed since its read (optimistic locking).

    Raises:
        WriteContention: The retries lasted for RETRY_BUDGET_SECONDS.
    """
    for _ in _backoff():
        try:
            return work()
        except StaleRead:
            continue
    raise AssertionError("the backoff ends with WriteContention")


def _backoff() -> Iterator[int]:
    """Yield the numbers of attempts, with a random wait after each.

    Raises:
        WriteContention: The next attempt would start after RETRY_BUDGET_SECONDS.
    """
    end = time.monotonic() + RETRY_BUDGET_SECONDS
    for attempt in count():
        yield attempt
        wait = random.uniform(0, min(_BACKOFF_CAP_SECONDS, _BACKOFF_BASE_SECONDS * 2**attempt))
        if time.monotonic() + wait > end:
            raise WriteContention("The resource is being updated concurrently. Retry shortly.")
        time.sleep(wait)


def reset() -> None:
    """Forget the connection, also that of each table."""
    connection.cache_clear()
    for table in Table.__subclasses__():
        table._connection = None
