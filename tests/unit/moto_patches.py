"""moto without what makes it slow in many small tests, and with transactions that are safe among threads."""

import copy
import json
import pickle
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from threading import RLock
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.loaders import create_loader
from botocore.model import OperationModel, StructureShape
from moto.core import models, responses
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.serialize import JSONSerializer
from moto.core.utils import camelcase_to_underscores, method_names_from_class
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing import validators
from moto.dynamodb.parsing.ast_nodes import (  # type: ignore[attr-defined]
    DepthFirstTraverser,
    Expression,
    Node,
    UpdateExpression,
    UpdateExpressionFunction,
)
from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # type: ignore[attr-defined]
from moto.dynamodb.parsing.validators import ActionCountValidator, UpdateExpressionValidator
from moto.dynamodb.responses import DynamoHandler
from moto.sqs import models as sqs
from werkzeug.exceptions import HTTPException

_respond, _transact = BotocoreStubber.__call__, DynamoDBBackend.transact_write_items
_make_request, _resolve_endpoint = BaseClient._make_request, BaseClient._resolve_endpoint_ruleset
_parse_condition, _parse_update = ConditionExpressionParser.parse, UpdateExpressionParser.make
_validators_of_update = UpdateExpressionValidator.get_ast_processors
_cast_value: property = DynamoType.cast_value  # type: ignore[assignment]
_receive = sqs.SQSBackend.receive_message
_serialize_structure = JSONSerializer._serialize_type_structure
_one_at_a_time = RLock()

_ITEM_OPERATIONS = {
    "BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactWriteItems",
    "UpdateItem",
}  # fmt: skip


def apply() -> None:
    """Patch moto and botocore in this process."""
    botocore.session.create_loader = cache(create_loader)  # all clients read the same descriptions of AWS from disk
    BotocoreStubber.__call__ = _respond_alone  # type: ignore[assignment, method-assign]
    DynamoDBBackend.transact_write_items = _transact_with_small_copies  # type: ignore[assignment, method-assign]
    ConditionExpressionParser.parse = _parse_condition_once  # type: ignore[assignment, method-assign]
    UpdateExpressionParser.make = cache(_parse_update)
    validators.deepcopy = _copy_parsed_update  # type: ignore[assignment, attr-defined]
    UpdateExpressionValidator.get_ast_processors = _validators_of_values  # type: ignore[assignment, method-assign]
    Node.find_clauses = _find_clauses
    DepthFirstTraverser.traverse = _traverse_with_one_map
    DynamoType.cast_value = property(_cast_value_of_strings_first)  # type: ignore[assignment]
    JSONSerializer._serialize_type_structure = _serialize_members_present  # type: ignore[assignment, method-assign]
    responses.method_names_from_class = cache(method_names_from_class)  # type: ignore[attr-defined]
    sqs.SQSBackend.receive_message = _receive_without_waiting  # type: ignore[assignment, method-assign]
    sqs.camelcase_to_underscores = cache(camelcase_to_underscores)  # type: ignore[attr-defined]
    models.RESPONSES_METHODS.clear()  # the tests call AWS by botocore, never by requests


@contextmanager
def short_path_for_items() -> Iterator[None]:
    """Hand requests for items to moto without HTTP, which takes three quarters of the time, and without IAM."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_request", _make_request_to_items)
        patch.setattr(BaseClient, "_resolve_endpoint_ruleset", _resolve_no_endpoint_for_items)
        yield


def _respond_alone(stubber: BotocoreStubber, *arguments: Any, **named: Any) -> Any:
    """A transaction that fails restores whole tables in moto, with all that other threads changed meanwhile."""
    with _one_at_a_time:
        return _respond(stubber, *arguments, **named)


def _receive_without_waiting(backend: sqs.SQSBackend, queue: str, count: int, _: int, *arguments: Any) -> Any:
    """Receive without long polling, which takes seconds for an empty queue."""
    return _receive(backend, queue, count, 0, *arguments)


def _make_request_to_items(client: BaseClient, operation: OperationModel, request: dict[str, Any], context: Any) -> Any:
    if operation.name not in _ITEM_OPERATIONS:
        return _make_request(client, operation, request, context)
    handler = DynamoHandler()
    handler.body = handler.params = json.loads(request["body"])
    handler.current_account, handler.region = models.DEFAULT_ACCOUNT_ID, client.meta.region_name
    response: dict[str, Any]
    with _one_at_a_time:
        try:
            result = getattr(handler, camelcase_to_underscores(operation.name))().result
        except HTTPException as error:
            http: dict[str, Any] = {"body": str(error.description).encode(), "headers": {}, "status_code": error.code}
            parser = client._endpoint._response_parser_factory.create_parser("json")
            response = parser.parse(http, operation.output_shape)
            client._endpoint._add_modeled_error_fields(http, response, operation, parser)
        else:
            found = {name: member for name, member in result.items() if member is not None}
            response = pickle.loads(pickle.dumps(found))  # noqa: S301  own data
            response["ResponseMetadata"] = {"HTTPStatusCode": 200}
    return AWSResponse("", response["ResponseMetadata"]["HTTPStatusCode"], {}, None), response


def _cast_value_of_strings_first(value: DynamoType) -> Any:
    """A query compares the keys of all items, which are strings."""
    return value.value if value.type == "S" else _cast_value.__get__(value)


def _parse_condition_once(parser: ConditionExpressionParser) -> Any:
    """Parse a condition once for each set of values: moto does so three times for each item of a transaction."""
    if not parser.condition_expression:
        return _parse_condition(parser)
    names, values = parser.expression_attribute_names, parser.expression_attribute_values
    parsed, operation = _parsed_condition(parser.condition_expression, json.dumps(names), json.dumps(values))
    parser.expr_attr_names_found += parsed.expr_attr_names_found
    parser.expr_attr_values_found += parsed.expr_attr_values_found
    return operation


@lru_cache(1000)
def _parsed_condition(expression: str, names: str, values: str) -> tuple[ConditionExpressionParser, Any]:
    parser = ConditionExpressionParser(expression, json.loads(names), json.loads(values))
    return parser, _parse_condition(parser)


def _copy_parsed_update(value: Any) -> Any:
    """Copy a parsed update, which moto's validation changes, from its pickle: a deep copy takes ten times as long."""
    return pickle.loads(_pickled(value)) if isinstance(value, UpdateExpression) else copy.deepcopy(value)  # noqa: S301


@lru_cache(1000)
def _pickled(update: UpdateExpression) -> bytes:
    """Count the clauses of a parsed update, which moto does in each call, and return its pickle."""
    ActionCountValidator().traverse(update)
    return pickle.dumps(update)


def _validators_of_values(validator: UpdateExpressionValidator) -> list[DepthFirstTraverser]:
    return [one for one in _validators_of_update(validator) if not isinstance(one, ActionCountValidator)]


def _find_clauses(node: Node, kinds: list[type[Node]]) -> list[Node]:
    """Find the clauses of a parsed update, without `isinstance`, which is slow for abstract classes."""
    found: list[Node] = []
    for child in node.children or ():
        if type(child) in kinds:
            found.append(child)
        elif _is_one_of(child.__class__, (Expression, UpdateExpressionFunction)):
            found += _find_clauses(child, kinds)
    return found


def _traverse_with_one_map(traverser: DepthFirstTraverser, root: Node) -> Node:
    """Traverse a parsed update with one map of processors: moto creates it for each node, ten times."""
    kinds = tuple(traverser._processing_map())

    def visit(node: Node, position: int) -> Node:
        parent = node.parent
        for index, child in enumerate(node.children or ()):
            traverser.pre_processing_of_child(node, index)
            if _is_one_of(child.__class__, (Node,)):
                visit(child, index)
        if _is_one_of(node.__class__, kinds):
            node = traverser.process(node)
            node.parent = parent
            if parent:
                parent.children[position] = node
        return node

    return visit(root, -1)


@cache
def _is_one_of(kind: type, kinds: tuple[type, ...]) -> bool:
    return issubclass(kind, kinds)


def _resolve_no_endpoint_for_items(client: BaseClient, operation: OperationModel, *arguments: Any) -> Any:
    if operation.name in _ITEM_OPERATIONS:
        return "http://dynamodb.test", {}, {}
    return _resolve_endpoint(client, operation, *arguments)


def _serialize_members_present(
    serializer: JSONSerializer, serialized: dict[str, Any], value: Any, shape: StructureShape, key: str
) -> None:
    """Serialize the members of a dict that has the names of the API.

    moto looks for each of the shape's members under up to twelve spellings, which takes most of the time of a call.
    """
    is_named_as_shape = type(value) is dict and value.keys() <= shape.members.keys()
    if not is_named_as_shape or serializer._value_picker.response_transformers:
        _serialize_structure(serializer, serialized, value, shape, key)
        return
    members: dict[str, Any] = {} if key else serialized
    for name, member in value.items():
        if member is not None:
            serializer._serialize(members, member, shape.members[name], name)
    if key:
        serializer._default_serialize(serialized, members, shape, key)


def _transact_with_small_copies(backend: DynamoDBBackend, items: list[dict[str, Any]]) -> None:
    """Copy the items of the transaction only: moto copies each table whole, once for each item."""
    writes, copies = [write for item in items for write in item.values()], dict[str, Table]()

    def copy_items_of_transaction(table: Table, memo: dict[int, Any]) -> Table:
        if table.name in copies:
            return copies[table.name]
        copied = copies[table.name] = copy.copy(table)
        copied.items = defaultdict(dict, table.items)
        for write in writes:
            if write["TableName"] == table.name:
                _copy_item(table, copied, write.get("Key") or write["Item"])
        return copied

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "__deepcopy__", copy_items_of_transaction, raising=False)
        _transact(backend, items)


def _copy_item(table: Table, copied: Table, attributes: dict[str, Any]) -> None:
    partition_key = DynamoType(attributes[table.hash_key_attr])
    if partition_key not in table.items:
        return
    if not table.range_key_attr:
        copied.items[partition_key] = copy.deepcopy(table.items[partition_key])
        return
    if copied.items[partition_key] is table.items[partition_key]:
        copied.items[partition_key] = dict(table.items[partition_key])
    sort_key = DynamoType(attributes[table.range_key_attr])
    if sort_key in table.items[partition_key]:
        copied.items[partition_key][sort_key] = copy.deepcopy(table.items[partition_key][sort_key])
