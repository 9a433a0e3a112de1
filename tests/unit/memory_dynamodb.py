"""DynamoDB in memory: a call takes microseconds. In moto, it takes a millisecond.

It has the tables of data.yaml, and the operations and expressions that the tests need; it fails for others. Calls are
made by a client of botocore or by `RetryingConnection`, so that PynamoDB and the retries are those of the functions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from chalicelib.models.base import Table
from tests.stage_schemas import Schema, stage_schemas
from tests.unit.memory_expressions import (
    InvalidExpressionError,
    Item,
    Parameters,
    Value,
    compiled_condition,
    compiled_update,
    equal_placeholders,
    resolve_name,
)  # fmt: skip

_MAX_PAGE_BYTES = 1_048_576
_MAX_ITEM_BYTES = 400 * 1024
_OPERATIONS = {
    "BatchGetItem", "BatchWriteItem", "DeleteItem", "DeleteTable", "GetItem", "PutItem", "Query", "Scan",
    "TransactWriteItems", "UpdateItem",
}  # fmt: skip
_call_aws = BaseClient._make_api_call


class _StoredItem(dict[str, Value]):
    """An item with its size. It never changes: a write replaces it."""

    def __init__(self, item: Item) -> None:
        super().__init__(item)
        self.size = sum(len(name) + len(str(content)) for name, value in item.items() for content in value.values())


Rows = dict[str, dict[str, _StoredItem]]  # of a table: by hash key and by range key, which is "" in tables without one


def copy_tables(tables: dict[str, Rows]) -> dict[str, Rows]:
    """Return a copy of tables. Items need none: a write replaces them."""
    return {name: {key: dict(partition) for key, partition in rows.items()} for name, rows in tables.items()}


class MemoryDynamoDb:
    """The tables of the stage, all empty at first."""

    def __init__(self) -> None:
        self.schemas = dict(stage_schemas())
        self.tables: dict[str, Rows] = {name: {} for name in self.schemas}
        self._tokens: set[str] = set()
        self._lock = RLock()

    def rows(self, model: type[Table]) -> list[Item]:
        """Return all rows of a table."""
        return [item for partition in self.tables[model.Meta.table_name].values() for item in partition.values()]

    def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            try:
                result: dict[str, Any] = getattr(self, f"_{operation}")(parameters)
            except InvalidExpressionError as error:
                raise _error("ValidationException", str(error)) from error
        return result

    def _GetItem(self, parameters: Parameters) -> Parameters:  # noqa: N802  the name of the operation
        item = self._find(parameters, parameters["Key"])
        return {"Item": _projected(item, parameters)} if item else {}

    def _BatchGetItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        found: dict[str, list[Item]] = {}
        for name, request in parameters["RequestItems"].items():
            self._require_different([(name, self._key(name, key)) for key in request["Keys"]], 100)
            items = [self._find({"TableName": name}, key) for key in request["Keys"]]
            found[name] = [_projected(item, request) for item in items if item]
        return {"Responses": found, "UnprocessedKeys": {}}

    def _BatchWriteItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        writes = [
            ("Put", {"TableName": name, "Item": request["PutRequest"]["Item"]})
            if "PutRequest" in request
            else ("Delete", {"TableName": name, "Key": request["DeleteRequest"]["Key"]})
            for name, requests in parameters["RequestItems"].items()
            for request in requests
        ]
        self._require_different([self._location(write) for _, write in writes], 25)
        for kind, write in writes:
            self._write(kind, write)
        return {"UnprocessedItems": {}}

    def _Query(self, parameters: Parameters) -> Parameters:  # noqa: N802
        name = parameters["TableName"]
        schema = self._schema(name)
        index = schema.indexes[parameters["IndexName"]] if "IndexName" in parameters else None
        keys = index.keys if index else schema.keys
        expression = parameters["KeyConditionExpression"]
        partition_key = _partition_key(expression, keys[0], parameters)
        if index:
            assert index.is_local or not parameters.get("ConsistentRead"), "a global index has no consistent reads"
            items = [item for rows in self.tables[name].values() for item in rows.values() if {*keys} <= item.keys()]
        else:
            items = [*self.tables[name].get(partition_key, {}).values()]
        is_found = compiled_condition(expression)
        is_found({}, parameters)  # rejects values also if there is no item
        items = [item for item in items if is_found(item, parameters)]
        page = self._page(parameters, items, (*keys[1:], *schema.keys))
        if index and index.attributes is not None and "Items" in page:
            page["Items"] = [
                {key: value for key, value in item.items() if key in index.attributes} for item in page["Items"]
            ]
        return page

    def _Scan(self, parameters: Parameters) -> Parameters:  # noqa: N802
        name = parameters["TableName"]
        items = [item for rows in self.tables[name].values() for item in rows.values()]
        return self._page(parameters, items, self._schema(name).keys)

    def _PutItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        return self._write_alone("Put", parameters)

    def _DeleteItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        return self._write_alone("Delete", parameters)

    def _UpdateItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        return self._write_alone("Update", parameters)

    def _DeleteTable(self, parameters: Parameters) -> Parameters:  # noqa: N802
        del self.tables[parameters["TableName"]], self.schemas[parameters["TableName"]]
        return {"TableDescription": {}}

    def _TransactWriteItems(self, parameters: Parameters) -> Parameters:  # noqa: N802
        token = parameters.get("ClientRequestToken")
        if token in self._tokens:
            return {}
        writes = [(kind, write) for item in parameters["TransactItems"] for kind, write in item.items()]
        self._require_different([self._location(write) for _, write in writes], 100)
        reasons = [self._reason(write) for _, write in writes]
        if any(reason["Code"] != "None" for reason in reasons):
            raise _error("TransactionCanceledException", CancellationReasons=reasons)
        for kind, write in writes:
            self._write(kind, write)
        if token:
            self._tokens.add(token)
        return {}

    def _reason(self, write: Parameters) -> Parameters:
        """Return why a write of a transaction fails."""
        if self._holds(write):
            return {"Code": "None"}
        return {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", **self._old_item(write)}

    def _write_alone(self, kind: str, parameters: Parameters) -> Parameters:
        if not self._holds(parameters):
            raise _error("ConditionalCheckFailedException", **self._old_item(parameters))
        old = self._find(parameters, parameters.get("Key") or parameters["Item"])
        self._write(kind, parameters)
        returned = parameters.get("ReturnValues", "NONE")
        if returned == "NONE":
            return {}
        assert returned in ("ALL_OLD", "ALL_NEW"), returned
        item = old if returned == "ALL_OLD" else self._find(parameters, parameters["Key"])
        return {"Attributes": item} if item else {}

    def _old_item(self, write: Parameters) -> dict[str, Any]:
        item = self._find(write, write.get("Key") or write["Item"])
        return {"Item": item} if item and write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else {}

    def _holds(self, write: Parameters) -> bool:
        expression = write.get("ConditionExpression")
        item = self._find(write, write.get("Key") or write["Item"])
        return not expression or bool(compiled_condition(expression)(item or {}, write))

    def _write(self, kind: str, write: Parameters) -> None:
        if kind == "ConditionCheck":
            return
        name, (hash_key, range_key) = self._location(write)
        partition = self.tables[name].setdefault(hash_key, {})
        if kind == "Delete":
            partition.pop(range_key, None)
            return
        item = write["Item"] if kind == "Put" else self._updated(write, partition.get(range_key))
        stored = _StoredItem(item)
        self._require_valid(name, stored)
        partition[range_key] = stored

    def _updated(self, write: Parameters, item: Item | None) -> Item:
        updated = compiled_update(write["UpdateExpression"])(item or write["Key"], write)
        assert write["Key"].items() <= updated.items(), "DynamoDB does not change keys"
        return updated

    def _require_valid(self, name: str, item: _StoredItem) -> None:
        schema = self._schema(name)
        keys = {*schema.keys, *(key for index in schema.indexes.values() for key in index.keys)}
        for key in keys & item.keys():
            if not item[key].get("S"):
                raise _error("ValidationException", f"the key {key} is no text, or an empty one")
        if item.size > _MAX_ITEM_BYTES:
            raise _error("ValidationException", "Item size has exceeded the maximum allowed size")

    def _page(self, parameters: Parameters, items: list[_StoredItem], order: tuple[str, ...]) -> dict[str, Any]:
        """Return the page of a query or a scan. The filter applies to the items that the limit lets through."""

        def position(item: Item) -> list[str]:
            return [item[name]["S"] for name in order]

        is_backward = not parameters.get("ScanIndexForward", True)
        items.sort(key=position, reverse=is_backward)
        if start := parameters.get("ExclusiveStartKey"):
            first = position(start)
            items = [item for item in items if (position(item) < first if is_backward else position(item) > first)]
        page, last = _up_to_page_size(items[: parameters.get("Limit")]), {}
        if len(page) < len(items):
            names = {*order, *_hash_keys(parameters, self._schema(parameters["TableName"]))}
            last = {"LastEvaluatedKey": {name: page[-1][name] for name in names}}
        expression = parameters.get("FilterExpression")
        is_found = compiled_condition(expression) if expression else None
        found = [item for item in page if is_found is None or is_found(item, parameters)]
        result: dict[str, Any] = {"Count": len(found), "ScannedCount": len(page), **last}
        if parameters.get("Select") != "COUNT":
            result["Items"] = [_projected(item, parameters) for item in found]
        return result

    def _find(self, parameters: Parameters, key: Parameters) -> _StoredItem | None:
        name = parameters["TableName"]
        hash_key, range_key = self._key(name, key)
        return self.tables[name].get(hash_key, {}).get(range_key)

    def _location(self, write: Parameters) -> tuple[str, tuple[str, str]]:
        return write["TableName"], self._key(write["TableName"], write.get("Key") or write["Item"])

    def _key(self, name: str, item: Parameters) -> tuple[str, str]:
        keys = self._schema(name).keys
        values = [item[key]["S"] for key in keys]
        if not all(values):
            raise _error("ValidationException", "One or more parameter values are not valid: an empty key")
        return values[0], values[1] if len(values) > 1 else ""

    def _schema(self, name: str) -> Schema:
        if name not in self.schemas:
            raise _error("ResourceNotFoundException", "Requested resource not found")
        return self.schemas[name]

    @staticmethod
    def _require_different(locations: list[Any], most: int) -> None:
        if len({*locations}) < len(locations):
            raise _error("ValidationException", "one request has two operations on one item")
        if not 1 <= len(locations) <= most:
            raise _error("ValidationException", f"a request has 1 to {most} items")


def _hash_keys(parameters: Parameters, schema: Schema) -> tuple[str, ...]:
    """Return the hash keys of the table, and of the index that a query reads."""
    index = schema.indexes.get(parameters.get("IndexName", ""))
    return (schema.keys[0], *(index.keys[:1] if index else ()))


def _partition_key(expression: str, name: str, parameters: Parameters) -> str:
    [value] = [
        parameters["ExpressionAttributeValues"][value]["S"]
        for placeholder, value in equal_placeholders(expression)
        if resolve_name(placeholder, parameters) == name
    ]
    return str(value)


def _projected(item: Item, parameters: Parameters) -> Item:
    expression = parameters.get("ProjectionExpression")
    if not expression:
        return item
    names = [resolve_name(name, parameters) for name in expression.split(", ")]
    return {name: item[name] for name in names if name in item}


def _up_to_page_size(items: list[_StoredItem]) -> list[_StoredItem]:
    """Return the items of a page, which ends after the item that reaches its size."""
    size = 0
    for count, item in enumerate(items, 1):
        size += item.size
        if size >= _MAX_PAGE_BYTES:
            return items[:count]
    return items


def _error(code: str, message: str = "", **response: Any) -> ClientError:
    details: Any = {"Error": {"Code": code, "Message": message or code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(details | response, "")


_database: MemoryDynamoDb | None = None


@contextmanager
def items_in_memory() -> Iterator[None]:
    """Let all clients of this process read and write the items of a new database in memory."""
    global _database
    _database = MemoryDynamoDb()
    try:
        yield
    finally:
        _database = None


def _call_memory_or_aws(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
    if _database is None or operation not in _OPERATIONS or client.meta.service_model.service_name != "dynamodb":
        return _call_aws(client, operation, parameters)
    response = _database._make_api_call(operation, parameters)
    return {"ResponseMetadata": {"HTTPStatusCode": 200}, **response}


# Once for all tests: one that replaces this method, too, may restore it after the end of its database.
BaseClient._make_api_call = _call_memory_or_aws
