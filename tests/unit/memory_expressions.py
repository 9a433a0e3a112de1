"""The expressions of DynamoDB, compiled once each.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any

Value = dict[str, Any]  # by its type
Item = dict[str, Value]  # attributes by name
Parameters = Mapping[str, Any]  # of a call, or of an item of a transaction
Evaluate = Callable[[Item, Parameters], Any]  # of an item, with names and values of the expression
Operand = Callable[[Item, Parameters], Value | None]

_TOKEN = re.compile(r"[#:]?\w+|<=|>=|<>|\S")
_COMPARISONS = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_FUNCTIONS = ("attribute_exists", "attribute_not_exists", "begins_with", "contains")


@cache
def compiled_condition(expression: str) -> Evaluate:
    """Return a function for a condition, a filter or a key condition."""
    tokens = _Tokens(expression)
    condition = _any(tokens)
    tokens.expect("")
    return condition


@cache
def compiled_update(expression: str) -> Callable[[Item, Parameters], Item]:
    """Return a function for an update, which returns the new item."""
    tokens, changes = _Tokens(expression), list[tuple[str, Evaluate | None]]()
    while section := tokens.skip("SET", "ADD", "DELETE", "REMOVE"):
        while True:
            name, new = tokens.next(), None
            if section == "SET":
                tokens.expect("=")
                new = _sum(tokens)
            elif section != "REMOVE":
                new = (_added if section == "ADD" else _without)(_operand(name), _operand(tokens.next()))
            changes.append((name, new))
            if not tokens.skip(","):
                break
    tokens.expect("")

    def update(item: Item, parameters: Parameters) -> Item:
        updated = dict(item)
        for name, new in changes:
            value = new(item, parameters) if new else None
            if value is None:
                updated.pop(resolve_name(name, parameters), None)
            else:
                updated[resolve_name(name, parameters)] = value
        return updated

    return update


@cache
def equal_placeholders(expression: str) -> list[tuple[str, str]]:
    """Return the names and values that a key condition compares by ``=``."""
    return re.findall(r"([#\w]+) = (:\w+)", expression)


def resolve_name(name: str, parameters: Parameters) -> str:
    """Return the name of an attribute in an expression."""
    resolved: str = parameters["ExpressionAttributeNames"][name] if name[0] == "#" else name
    return resolved


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


def _any(tokens: _Tokens) -> Evaluate:
    return _joined(tokens, "OR", _all, any)


def _all(tokens: _Tokens) -> Evaluate:
    return _joined(tokens, "AND", _condition, all)


def _joined(
    tokens: _Tokens, word: str, parse: Callable[[_Tokens], Evaluate], combine: Callable[[Iterable[Any]], bool]
) -> Evaluate:
    """Parse conditions with a word between them."""
    conditions = [parse(tokens)]
    while tokens.skip(word):
        conditions.append(parse(tokens))
    if len(conditions) == 1:
        return conditions[0]
    return lambda item, parameters: combine(condition(item, parameters) for condition in conditions)


def _condition(tokens: _Tokens) -> Evaluate:
    if tokens.skip("NOT"):
        negated = _condition(tokens)
        return lambda item, parameters: not negated(item, parameters)
    if tokens.skip("("):
        condition = _any(tokens)
        tokens.expect(")")
        return condition
    if function := tokens.skip(*_FUNCTIONS):
        return _function(function, *_arguments(tokens))
    left, comparison, right = _operand(tokens.next()), tokens.next(), _operand(tokens.next())
    if comparison == "BETWEEN":
        tokens.expect("AND")
        return _between(left, right, _operand(tokens.next()))
    return _compared(_COMPARISONS[comparison], left, right)


def _function(name: str, operand: Operand, *others: Operand) -> Evaluate:
    if name == "attribute_exists":
        return lambda item, parameters: operand(item, parameters) is not None
    if name == "attribute_not_exists":
        return lambda item, parameters: operand(item, parameters) is None
    [other] = others
    if name == "begins_with":
        return _compared(str.startswith, operand, other)
    return _compared(lambda text, part: part in text, operand, other)


def _between(operand: Operand, first: Operand, last: Operand) -> Evaluate:
    at_least, at_most = _compared(ge, operand, first), _compared(le, operand, last)
    are_in_order = _compared(le, first, last)

    def is_between(item: Item, parameters: Parameters) -> bool:
        if not are_in_order(item, parameters):
            raise InvalidExpressionError("The BETWEEN operator requires upper bound to be greater than lower bound")
        return bool(at_least(item, parameters) and at_most(item, parameters))

    return is_between


class InvalidExpressionError(Exception):
    """DynamoDB rejects the expression with these values."""


def _compared(comparison: Callable[[Any, Any], bool], left: Operand, right: Operand) -> Evaluate:
    """Compare two operands, as false if one does not exist or they have different types."""

    def compare(item: Item, parameters: Parameters) -> bool:
        first, second = left(item, parameters), right(item, parameters)
        if first is None or second is None or first.keys() != second.keys():
            return first is not second and comparison is ne
        return comparison(_python_value(first), _python_value(second))

    return compare


def _sum(tokens: _Tokens) -> Evaluate:
    first = _term(tokens)
    if not (sign := tokens.skip("+", "-")):
        return first
    second, factor = _term(tokens), 1 if sign == "+" else -1
    return lambda item, parameters: _number(
        _number_of(first(item, parameters)) + factor * _number_of(second(item, parameters))
    )


def _term(tokens: _Tokens) -> Operand:
    if tokens.skip("if_not_exists"):
        operand, default = _arguments(tokens)
        return lambda item, parameters: operand(item, parameters) or default(item, parameters)
    return _operand(tokens.next())


def _added(operand: Operand, change: Operand) -> Evaluate:
    def add(item: Item, parameters: Parameters) -> Value:
        old, new = operand(item, parameters), change(item, parameters)
        assert new is not None
        if "SS" in new:
            return {"SS": sorted({*(old or {"SS": ()})["SS"], *new["SS"]})}
        return _number(_number_of(old or {"N": "0"}) + _number_of(new))

    return add


def _without(operand: Operand, change: Operand) -> Evaluate:
    def remove(item: Item, parameters: Parameters) -> Value | None:
        old, removed = operand(item, parameters), change(item, parameters)
        assert removed is not None
        rest = sorted({*(old or {"SS": ()})["SS"]} - {*removed["SS"]})
        return {"SS": rest} if rest else None

    return remove


def _arguments(tokens: _Tokens) -> list[Operand]:
    tokens.expect("(")
    arguments = [_operand(tokens.next())]
    while tokens.skip(","):
        arguments.append(_operand(tokens.next()))
    tokens.expect(")")
    return arguments


def _operand(token: str) -> Operand:
    if token[0] == ":":
        return lambda item, parameters: parameters["ExpressionAttributeValues"][token]
    return lambda item, parameters: item.get(resolve_name(token, parameters))


def _python_value(value: Value) -> Any:
    [(kind, content)] = value.items()
    return _number_of(value) if kind == "N" else content


def _number_of(value: Value | None) -> Decimal:
    assert value is not None
    return Decimal(value["N"])


def _number(number: Decimal) -> Value:
    return {"N": f"{number:f}"}
