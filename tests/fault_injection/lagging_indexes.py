"""Global secondary indexes that show a write only some seconds later, as those of DynamoDB do.

ministack shows it at once. So a query reads the index of a copy of the table, which gets each write later: the rows
that were written meanwhile are not found, and deleted or changed ones are found as they were.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

_SUFFIX = "-lagging"
_BATCH, _READ_BATCH = 25, 100  # DynamoDB's limits

Row = dict[str, Any]


class LaggingIndexes:
    """The copies of all tables that have such indexes, from `begin` to `end`."""

    def __init__(self, dynamodb: Any) -> None:
        self._client = dynamodb
        self._seconds = 0.0
        self._indexes: dict[str, set[str]] = {}
        self._keys: dict[str, list[str]] = {}
        self._waiting: deque[tuple[float, str, Row, Row | None]] = deque()
        self._lock = threading.Lock()

    def begin(self, seconds: float) -> None:
        """Copy the tables; from now on, their indexes lag by these seconds."""
        with self._lock:
            for name in self._client.list_tables()["TableNames"]:
                table = self._client.describe_table(TableName=name)["Table"]
                if table.get("GlobalSecondaryIndexes"):
                    self._copy(name, table)
            self._seconds = seconds

    def end(self) -> None:
        """Let the indexes show all writes at once again."""
        with self._lock:
            for name in self._indexes:
                self._client.delete_table(TableName=name + _SUFFIX)
            self._indexes, self._keys, self._seconds = {}, {}, 0.0
            self._waiting.clear()

    def record(self, operation: str, parameters: dict[str, Any]) -> None:
        """Note the rows that a call wrote, as they are now."""
        keys = [key for key in _written_keys(operation, parameters, self._keys) if key] if self._seconds else []
        if not keys:
            return
        with self._lock:  # in the order in which the rows had these values
            due = time.time() + self._seconds
            self._waiting += [(due, name, key, row) for name, key, row in self._read(keys)]

    def query(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of a query that has the result of the index as it was."""
        name = parameters["TableName"]
        if parameters["IndexName"] not in self._indexes.get(name, ()):
            return parameters
        with self._lock:
            self._apply_due()
        return parameters | {"TableName": name + _SUFFIX}

    def _copy(self, name: str, table: dict[str, Any]) -> None:
        indexes = [
            {part: index[part] for part in ("IndexName", "KeySchema", "Projection")}
            for index in table["GlobalSecondaryIndexes"]
        ]
        self._client.create_table(
            TableName=name + _SUFFIX,
            KeySchema=table["KeySchema"],
            AttributeDefinitions=table["AttributeDefinitions"],
            GlobalSecondaryIndexes=indexes,
            BillingMode="PAY_PER_REQUEST",
        )
        pages = self._client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
        self._write(name, [{"PutRequest": {"Item": row}} for page in pages for row in page["Items"]])
        self._indexes[name] = {index["IndexName"] for index in indexes}
        self._keys[name] = [part["AttributeName"] for part in table["KeySchema"]]

    def _read(self, keys: list[tuple[str, Row]]) -> Iterator[tuple[str, Row, Row | None]]:
        for start in range(0, len(keys), _READ_BATCH):
            some = keys[start : start + _READ_BATCH]
            requests: dict[str, Any] = {}
            for name, key in some:
                requests.setdefault(name, {"Keys": [], "ConsistentRead": True})["Keys"].append(key)
            found = self._client.batch_get_item(RequestItems=requests)["Responses"]
            for name, key in some:
                yield name, key, next((row for row in found.get(name, []) if key.items() <= row.items()), None)

    def _apply_due(self) -> None:
        latest: dict[str, dict[str, Row]] = {}
        while self._waiting and self._waiting[0][0] <= time.time():
            _, name, key, row = self._waiting.popleft()
            request = {"PutRequest": {"Item": row}} if row else {"DeleteRequest": {"Key": key}}
            latest.setdefault(name, {})[repr(sorted(key.items()))] = request
        for name, requests in latest.items():
            self._write(name, [*requests.values()])

    def _write(self, name: str, requests: list[Row]) -> None:
        for start in range(0, len(requests), _BATCH):
            self._client.batch_write_item(RequestItems={name + _SUFFIX: requests[start : start + _BATCH]})


def touched_tables(parameters: dict[str, Any]) -> set[str]:
    """Return the tables of a call to DynamoDB."""
    items = [item for entry in parameters.get("TransactItems", []) for item in entry.values()]
    single = [item["TableName"] for item in (parameters, *items) if "TableName" in item]
    return {*parameters.get("RequestItems", {}), *single}


def _written_keys(
    operation: str, parameters: dict[str, Any], keys: dict[str, list[str]]
) -> Iterator[tuple[str, Row] | None]:
    """Yield table and key of each row that a call may have written, of the tables whose ``keys`` are given."""

    def of(name: str, item: Row) -> tuple[str, Row] | None:
        return (name, {part: item[part] for part in keys[name]}) if name in keys else None

    if operation in ("PutItem", "UpdateItem", "DeleteItem"):
        yield of(parameters["TableName"], parameters.get("Item") or parameters["Key"])
    elif operation == "TransactWriteItems":
        for entry in parameters["TransactItems"]:
            for item in entry.values():
                yield of(item["TableName"], item.get("Item") or item["Key"])
    elif operation == "BatchWriteItem":
        for name, requests in parameters["RequestItems"].items():
            for request in requests:
                [write] = request.values()
                yield of(name, write.get("Item") or write["Key"])
