"""The base of all tables: lazy names, one shared connection, transactions and optimistic locking."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar, overload
from uuid import uuid4

from pynamodb.connection import TableConnection
from pynamodb.exceptions import DeleteError, PutError, TransactWriteError, UpdateError, VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from chalicelib.adapters.dynamodb import connection
from chalicelib.core.concurrency import concurrently
from chalicelib.core.config import settings
from chalicelib.core.errors import Throttled, WriteContention
from chalicelib.core.retries import Backoff

# Reasons of a cancelled transaction after which a retry can succeed.
_CONFLICT = "TransactionConflict"
_THROTTLING_REASONS = {"ThrottlingError", "ProvisionedThroughputExceeded"}
_CONDITION_FAILED = "ConditionalCheckFailedException"  # of a write outside of a transaction

Result = TypeVar("Result")
First = TypeVar("First", bound="Table")
Second = TypeVar("Second", bound="Table")
Third = TypeVar("Third", bound="Table")
Row = TypeVar("Row", bound="Table")


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
            if meta.table_name not in shared._tables or cls._indexes:  # of two models of a table, one has its indexes
                shared._tables[meta.table_name] = meta
            table.connection = shared
        return cls._connection  # type: ignore[return-value]

    @classmethod
    def from_raw_data(cls, data: dict[str, dict[str, Any]]) -> Self:
        """Return the row of an item, as PynamoDB does, in a third of the time.

        PynamoDB's method sets all defaults twice, and looks up the name of an attribute each time that it sets one.
        """
        row = cls.__new__(cls)
        values = row.attribute_values = {}
        for name, attribute in cls._attributes.items():
            value = data.get(attribute.attr_name)
            if value is not None and "NULL" not in value:
                values[name] = attribute.deserialize(attribute.get_value(value))
            elif attribute.default is not None:
                values[name] = attribute.default
        return row

    @classmethod
    def get_or_none(cls, hash_key: str, range_key: str | None = None) -> Self | None:
        """Return the row of a key by a consistent read, or None if there is none."""
        try:
            return cls.get(hash_key, range_key, consistent_read=True)
        except cls.DoesNotExist:
            return None


@overload
def get_together(
    first: tuple[type[First], tuple[str, ...]], second: tuple[type[Second], tuple[str, ...]], /
) -> tuple[First | None, Second | None]: ...
@overload
def get_together(
    first: tuple[type[First], tuple[str, ...]],
    second: tuple[type[Second], tuple[str, ...]],
    third: tuple[type[Third], tuple[str, ...]],
    /,
) -> tuple[First | None, Second | None, Third | None]: ...
def get_together(*keys: tuple[type[Table], tuple[str, ...]]) -> tuple[Table | None, ...]:
    """Return the rows of keys in different tables, None for one that does not exist, by one call.

    Each read is consistent. Keys that DynamoDB leaves unprocessed are read again.

    Raises:
        Throttled: The budget for waits is used up.
    """
    requests: dict[str, Any] = {}
    for table, key in keys:
        requests |= _get_request(table, key)
    rows = connection()._make_api_call("BatchGetItem", {"RequestItems": requests})["Responses"]
    return tuple(_first_row(table, rows) for table, _ in keys)


def _get_request(table: type[Table], key: tuple[str, ...]) -> dict[str, Any]:
    meta = table._get_connection().get_meta_table()
    names = filter(None, (meta.hash_keyname, meta.range_keyname))
    values = {name: {"S": value} for name, value in zip(names, key, strict=True)}
    return {meta.table_name: {"Keys": [values], "ConsistentRead": True}}


def _first_row(table: type[Row], rows: Mapping[str, Sequence[dict[str, Any]]]) -> Row | None:
    rows_of_table = rows.get(table.Meta.table_name)
    return table.from_raw_data(rows_of_table[0]) if rows_of_table else None


def access_together(tables: Sequence[type[Table]], calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the results of independent calls to these tables, made at the same time, in their order.

    Raises:
        Exception: That of the first call that failed, once all have ended.
    """
    for table in tables:
        _ = table._get_connection().connection.client  # once: each thread would create its own
    return concurrently(calls)


class ConditionFailed(Exception):
    """Conditions of a transaction failed; ``failed`` has the labels of their items. Nothing was written."""

    def __init__(self, failed: frozenset[Hashable] = frozenset()) -> None:
        super().__init__(f"conditions failed: {sorted(map(str, failed))}")
        self.failed = failed


class StaleRead(ConditionFailed):
    """A row changed after it was read. A retry reads it again."""


class AlreadyCreated(ConditionFailed):
    """An entity with the ID of a new one exists. Nothing was written."""


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
            WriteContention, Throttled: The budget for waits is used up. Nothing was written.
            TransactWriteError: Any other failure. It is not known whether something was written.
        """
        backoff = Backoff()
        while True:
            try:
                # A new token for each attempt: the one before was cancelled.
                with TransactWrite(connection=connection(), client_request_token=str(uuid4())) as write:
                    for add_to in self._writes:
                        add_to(write)
                return
            except TransactWriteError as error:
                codes = {reason.code for reason in error.cancellation_reasons if reason}
                if "ConditionalCheckFailed" in codes:
                    raise ConditionFailed(self._labels_of_failed(error)) from error
                if _THROTTLING_REASONS & codes:
                    backoff.wait(Throttled())
                elif _CONFLICT in codes:
                    backoff.wait(WriteContention())
                else:
                    raise

    def _add(self, kind: str, label: Hashable, add_to: Callable[[TransactWrite], None]) -> None:
        self._writes.append(add_to)
        self._labels[kind].append(label)

    def _labels_of_failed(self, error: TransactWriteError) -> frozenset[Hashable]:
        # PynamoDB sends checks first, then deletes, puts and updates; DynamoDB returns reasons in the same order.
        labels = [label for kind in self._labels.values() for label in kind]
        pairs = zip(labels, error.cancellation_reasons, strict=False)
        return frozenset(label for label, reason in pairs if reason and reason.code == "ConditionalCheckFailed")


Extend = Callable[[Transaction], None]  # adds items to a transaction


def add_nothing(transaction: Transaction) -> None:
    """Add no items to a transaction."""


class AddableRow(Protocol):
    """A row that is saved with others."""

    def add_to(self, transaction: Transaction) -> None:
        """Save the row in a transaction."""


def adding(*rows: AddableRow) -> Extend:
    """Return a function that saves rows in a transaction."""

    def extend(transaction: Transaction) -> None:
        for row in rows:
            row.add_to(transaction)

    return extend


def try_conditional(write: Callable[[], object]) -> bool:
    """Run a conditional write and return whether its condition held."""
    try:
        write()
    except (DeleteError, PutError, UpdateError) as error:
        if error.cause_response_code != _CONDITION_FAILED:
            raise
        return False
    return True


def update_or_get(row: Row, actions: Sequence[Action], condition: Condition) -> Row | None:
    """Update a row whose key is a hash key; if the condition fails, return the stored row, by the same call.

    After the update, the row given has all its attributes.
    """
    [key] = row._get_keys().values()  # type: ignore[no-untyped-call]
    shared = row._get_connection().connection
    request = shared.get_operation_kwargs(
        row.Meta.table_name,
        key,
        actions=[*actions],
        condition=condition,
        return_values="ALL_NEW",
        return_values_on_condition_failure="ALL_OLD",
    )
    try:
        row.deserialize(shared.dispatch("UpdateItem", request)["Attributes"])
    except VerboseClientError as error:
        if error.response["Error"].get("Code") != _CONDITION_FAILED:
            raise
        response: dict[str, Any] = getattr(error.__cause__, "response", {})
        return type(row).from_raw_data(response["Item"])
    return None


def retry_stale_reads(work: Callable[[], Result]) -> Result:
    """Call ``work`` until it succeeds, retrying with jittered backoff when it raises StaleRead.

    ``work`` reads, decides, and writes under the condition that nothing changed since its read (optimistic locking).

    Raises:
        WriteContention: The budget for waits is used up.
    """
    backoff = Backoff()
    while True:
        try:
            return work()
        except StaleRead:
            backoff.wait(WriteContention())


def reset() -> None:
    """Forget the connection, also that of each table."""
    connection.cache_clear()
    for table in Table.__subclasses__():
        table._connection = None
