"""DynamoDB in memory, for tests that make millions of calls: a call takes some microseconds.

It has the operations and expressions that the tests need, and fails for others. It takes the place of the client of
`RetryingConnection`, so that PynamoDB and the retries are those of the functions.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from operator import eq, ge, gt, le, lt
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.models.base import Table

Item = dict[str, dict[str, Any]]  # attributes by name, each by its type
Key = tuple[str, ...]
Parameters = Mapping[str, Any]  # of a call, or of an item of a transaction
Evaluate = Callable[[Item, Parameters], Any]  # of an item, with names and values of the expression

_TOKEN = re.compile(r"[#:]?\w+|<=|>=|[()<>=,+-]")
_COMPARISONS = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


class MemoryDynamoDb:
    """The tables of models, all empty at first."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Key, Item]] = {}
        self._keys: dict[str, Key] = {}
        for model in Table.__subclasses__():
            meta = model._get_connection().get_meta_table()
            self._keys[meta.table_name] = tuple(filter(None, (meta.hash_keyname, meta.range_keyname)))
            self.tables[meta.table_name] = {}
        self._tokens: set[str] = set()

    def rows(self, model: type[Table]) -> list[Item]:
        """Return all rows of a table."""
        return [*self.tables[model.Meta.table_name].values()]

    def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = getattr(self, f"_{operation}")(parameters)
        return result

    def _GetItem(self, parameters: Parameters) -> Parameters:  # noqa: N802  the name of the operation
        item = self.tables[parameters["TableName"]].get(self._key(parameters, parameters["Key"]))
        return {"Item": item} if item else {}

    def _BatchGetItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        found = {}
        for name, request in parameters["RequestItems"].items():
            keys = [self._key({"TableName": name}, key) for key in request["Keys"]]
            found[name] = [self.tables[name][key] for key in keys if key in self.tables[name]]
        return {"Responses": found, "UnprocessedKeys": {}}

    def _Query(self, parameters: Parameters) -> Parameters:  # noqa: N802
        assert "IndexName" not in parameters
        return self._page(parameters, _compiled(parameters["KeyConditionExpression"]))

    def _Scan(self, parameters: Parameters) -> Parameters:  # noqa: N802
        return self._page(parameters, lambda item, parameters: True)

    def _PutItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        return self._write_alone("Put", parameters)

    def _DeleteItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        return self._write_alone("Delete", parameters)

    def _UpdateItem(self, parameters: Parameters) -> Parameters:  # noqa: N802
        self._write_alone("Update", parameters)
        return {"Attributes": self.tables[parameters["TableName"]][self._key(parameters, parameters["Key"])]}

    def _TransactWriteItems(self, parameters: Parameters) -> Parameters:  # noqa: N802
        if parameters["ClientRequestToken"] in self._tokens:
            return {}
        writes = [(kind, write) for item in parameters["TransactItems"] for kind, write in item.items()]
        keys = [(write["TableName"], self._key(write, write.get("Key") or write["Item"])) for _, write in writes]
        assert len({*keys}) == len(keys), "DynamoDB rejects two operations on one item"
        codes = ["None" if self._holds(write) else "ConditionalCheckFailed" for _, write in writes]
        if {*codes} != {"None"}:
            raise _error("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])
        for kind, write in writes:
            self._write(kind, write)
        self._tokens.add(parameters["ClientRequestToken"])
        return {}

    def _write_alone(self, kind: str, parameters: Parameters) -> Parameters:
        if not self._holds(parameters):
            raise _error("ConditionalCheckFailedException")
        self._write(kind, parameters)
        return {}

    def _holds(self, write: Parameters) -> bool:
        expression = write.get("ConditionExpression")
        item = self.tables[write["TableName"]].get(self._key(write, write.get("Key") or write["Item"]), {})
        return not expression or _compiled(expression)(item, write)

    def _write(self, kind: str, write: Parameters) -> None:
        table = self.tables[write["TableName"]]
        if kind == "Put":
            table[self._key(write, write["Item"])] = write["Item"]
        elif kind == "Delete":
            table.pop(self._key(write, write["Key"]), None)
        elif kind == "Update":
            key = self._key(write, write["Key"])
            item: Item = table.get(key) or write["Key"]
            table[key] = _compiled_update(write["UpdateExpression"])(item, write)

    def _page(self, parameters: Parameters, is_in_partition: Evaluate) -> Parameters:
        """Return the page of a query or a scan. The filter applies to the items that the limit lets through."""
        table = sorted(self.tables[parameters["TableName"]].items(), reverse=not parameters.get("ScanIndexForward", 1))
        items = [item for _, item in table if is_in_partition(item, parameters)]
        if start := parameters.get("ExclusiveStartKey"):
            keys = [self._key(parameters, item) for item in items]
            items = items[keys.index(self._key(parameters, start)) + 1 :]
        page, last = items[: parameters.get("Limit")], {}
        if len(page) < len(items):
            last = {"LastEvaluatedKey": {name: page[-1][name] for name in self._keys[parameters["TableName"]]}}
        expression = parameters.get("FilterExpression")
        found = [item for item in page if not expression or _compiled(expression)(item, parameters)]
        return {"Items": found, "Count": len(found), "ScannedCount": len(page), **last}

    def _key(self, parameters: Parameters, item: Parameters) -> Key:
        return tuple(item[name]["S"] for name in self._keys[parameters["TableName"]])


def _error(code: str, **response: Any) -> ClientError:
    details: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(details | response, "")


class _Tokens:
    def __init__(self, expression: str) -> None:
        self._tokens: list[str] = [*_TOKEN.findall(expression), ""]

    def next(self) -> str:
        return self._tokens.pop(0)

    def skip(self, *tokens: str) -> str:
        """Take the next token if it is one of these; otherwise return an empty one."""
        return self.next() if self._tokens[0] in tokens else ""

    def expect(self, token: str) -> None:
        found = self.next()
        assert found == token, (found, token)


@cache
def _compiled(expression: str) -> Evaluate:
    """Return a function for a condition."""
    tokens = _Tokens(expression)
    condition = _any(tokens)
    tokens.expect("")
    return condition


@cache
def _compiled_update(expression: str) -> Callable[[Item, Parameters], Item]:
    """Return a function for an update, which returns the new item."""
    tokens, changes = _Tokens(expression), list[tuple[str, Evaluate | None]]()
    while section := tokens.skip("SET", "ADD", "REMOVE"):
        while True:
            name, new = tokens.next(), None
            if section == "SET":
                tokens.expect("=")
                new = _sum(tokens)
            elif section == "ADD":
                new = _added(name, tokens.next())
            changes.append((name, new))
            if not tokens.skip(","):
                break
    tokens.expect("")

    def update(item: Item, parameters: Parameters) -> Item:
        updated, names = dict(item), parameters["ExpressionAttributeNames"]
        for name, new in changes:
            if new:
                updated[names[name]] = new(item, parameters)
            else:
                updated.pop(names[name], None)
        return updated

    return update


def _any(tokens: _Tokens) -> Evaluate:
    conditions = [_all(tokens)]
    while tokens.skip("OR"):
        conditions.append(_all(tokens))
    return lambda item, parameters: any(condition(item, parameters) for condition in conditions)


def _all(tokens: _Tokens) -> Evaluate:
    conditions = [_condition(tokens)]
    while tokens.skip("AND"):
        conditions.append(_condition(tokens))
    return lambda item, parameters: all(condition(item, parameters) for condition in conditions)


def _condition(tokens: _Tokens) -> Evaluate:
    if tokens.skip("("):
        condition = _any(tokens)
        tokens.expect(")")
        return condition
    if function := tokens.skip("attribute_exists", "attribute_not_exists"):
        [name] = _arguments(tokens)
        return lambda item, parameters: (_value(name, item, parameters) is None) is (function == "attribute_not_exists")
    left, comparison, right = tokens.next(), tokens.next(), tokens.next()
    if comparison == "BETWEEN":
        tokens.expect("AND")
        last = tokens.next()
        return lambda item, parameters: (
            _compare(ge, left, right, item, parameters) and _compare(le, left, last, item, parameters)
        )
    return lambda item, parameters: _compare(_COMPARISONS[comparison], left, right, item, parameters)


def _compare(comparison: Callable[[Any, Any], bool], left: str, right: str, item: Item, parameters: Parameters) -> bool:
    """Compare two operands, as false if one does not exist or they have different types."""
    first, second = _value(left, item, parameters), _value(right, item, parameters)
    if first is None or second is None or first.keys() != second.keys():
        return False
    return comparison(*map(_python_value, (first, second)))


def _sum(tokens: _Tokens) -> Evaluate:
    first = _term(tokens)
    if not (sign := tokens.skip("+", "-")):
        return first
    second, factor = _term(tokens), 1 if sign == "+" else -1
    return lambda item, parameters: _number(
        int(first(item, parameters)["N"]) + factor * int(second(item, parameters)["N"])
    )


def _term(tokens: _Tokens) -> Evaluate:
    if tokens.skip("if_not_exists"):
        name, default = _arguments(tokens)
        return lambda item, parameters: _value(name, item, parameters) or _value(default, item, parameters)
    operand = tokens.next()
    return lambda item, parameters: _value(operand, item, parameters)


def _added(name: str, change: str) -> Evaluate:
    def add(item: Item, parameters: Parameters) -> Parameters:
        old, value = _value(name, item, parameters) or {"N": "0"}, _value(change, item, parameters)
        assert value is not None
        return _number(int(old["N"]) + int(value["N"]))

    return add


def _arguments(tokens: _Tokens) -> Iterable[str]:
    tokens.expect("(")
    arguments = [tokens.next()]
    while tokens.skip(","):
        arguments.append(tokens.next())
    tokens.expect(")")
    return arguments


def _value(operand: str, item: Item, parameters: Parameters) -> dict[str, Any] | None:
    if operand.startswith(":"):
        value: dict[str, Any] = parameters["ExpressionAttributeValues"][operand]
        return value
    return item.get(parameters["ExpressionAttributeNames"][operand])


def _python_value(value: Parameters) -> Any:
    [(kind, content)] = value.items()
    return int(content) if kind == "N" else content


def _number(number: int) -> dict[str, Any]:
    return {"N": str(number)}
