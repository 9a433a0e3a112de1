"""The clients of AWS services."""

import importlib
import json
import pkgutil
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from pynamodb.attributes import BinaryAttribute, BinarySetAttribute

from chalicelib import models
from chalicelib.adapters import aws as adapter
from chalicelib.adapters.dynamodb import connection
from chalicelib.models.base import Table


def test_user_agent_is_the_project(aws: None) -> None:
    adapter.reset()
    user_agents: list[str] = []
    dynamodb, sqs = connection().client, adapter.client("sqs")

    def record(request: Any, **_: Any) -> None:
        user_agents.append(request.headers["User-Agent"])

    for client in (dynamodb, sqs):
        client.meta.events.register("request-created", record)
    dynamodb.list_tables()
    sqs.list_queues()
    dynamodb.meta.events.unregister("request-created", record)
    adapter.reset()

    assert user_agents == ["eduflow", "eduflow"]


ITEM = {
    "id": {"S": "x"},
    "price_cents": {"N": "150"},
    "is_published": {"BOOL": True},
    "deleted_at": {"NULL": True},
    "words": {"SS": ["a", "b"]},
    "nested": {"M": {"list": {"L": [{"N": "1"}, {"S": ""}]}}},
}
KEY = {"id": ITEM["id"]}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("GetItem", {"Item": ITEM}),
        ("GetItem", {}),
        ("Query", {"Items": [ITEM, ITEM], "Count": 2, "ScannedCount": 3, "LastEvaluatedKey": KEY}),
        ("Scan", {"Items": [], "Count": 0, "ScannedCount": 1}),
        (
            "BatchGetItem",
            {"Responses": {"t": [ITEM]}, "UnprocessedKeys": {"t": {"Keys": [KEY], "ConsistentRead": True}}},
        ),
        (
            "BatchWriteItem",
            {"UnprocessedItems": {"t": [{"PutRequest": {"Item": ITEM}}, {"DeleteRequest": {"Key": KEY}}]}},
        ),
        ("UpdateItem", {"Attributes": ITEM}),
        ("TransactGetItems", {"Responses": [{"Item": ITEM}, {}]}),
    ],
)
def test_items_are_parsed_as_by_botocore(operation: str, body: dict[str, Any]) -> None:
    shape = _dynamodb().operation_model(operation).output_shape
    response = {"body": json.dumps(body).encode(), "headers": {}, "status_code": 200}
    parsed, expected = (parser.parse(response, shape) for parser in _parsers())

    assert parsed == expected
    assert parsed.items() >= body.items()


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("ConditionalCheckFailedException", {"Item": ITEM}),
        ("TransactionCanceledException", {"CancellationReasons": [{"Code": "None"}, {"Code": "x", "Item": ITEM}]}),
    ],
)
def test_items_in_errors_are_parsed_as_by_botocore(code: str, body: dict[str, Any]) -> None:
    response = {"body": json.dumps(body | {"__type": code}).encode(), "headers": {}, "status_code": 400}
    parsed, expected = (parser.parse(response, _dynamodb().shape_for(code)) for parser in _parsers())

    assert parsed == expected
    assert parsed.items() >= body.items()


def test_clients_parse_responses_with_this_parser(aws: None) -> None:
    parsers = connection().client._endpoint._response_parser_factory

    assert isinstance(parsers.create_parser("json"), adapter._JsonParser)


def _dynamodb() -> Any:
    return botocore.session.get_session().get_service_model("dynamodb")


def _parsers() -> list[Any]:
    return [adapter._ParserFactory().create_parser("json"), create_parser("json")]


def test_no_table_has_binary_values() -> None:
    """Those would not be decoded."""
    for module in pkgutil.iter_modules(models.__path__, "chalicelib.models."):
        importlib.import_module(module.name)
    attributes = [attribute for table in Table.__subclasses__() for attribute in table.get_attributes().values()]

    assert attributes
    assert not any(isinstance(attribute, BinaryAttribute | BinarySetAttribute) for attribute in attributes)
