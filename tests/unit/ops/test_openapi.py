"""The OpenAPI document: current, valid, and by the recommended rules of Redocly."""

import json
import re
from collections.abc import Iterator
from typing import Any

from openapi_spec_validator import validate

from app import app
from chalicelib.core.resources import OPENAPI_FILE
from chalicelib.security.access import ROUTE_ACCESS
from ops import openapi

DOCUMENT: dict[str, Any] = json.loads(OPENAPI_FILE.read_text())


def operations() -> Iterator[dict[str, Any]]:
    return (operation for path in DOCUMENT["paths"].values() for operation in path.values())


def test_routes_and_access_table_are_the_same() -> None:
    assert {(method, path) for path, methods in app.routes.items() for method in methods} == set(ROUTE_ACCESS)


def test_openapi_document_is_current() -> None:
    assert openapi.text(app) == OPENAPI_FILE.read_text(), "run `make schema`"


def test_openapi_document_is_valid() -> None:
    validate(DOCUMENT)


def test_every_component_is_used() -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))

    assert used == set(DOCUMENT["components"]["schemas"])


def test_operations_are_described_and_unique() -> None:
    ids = [operation["operationId"] for operation in operations()]
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}

    assert len(ids) == len(set(ids))
    for operation in operations():
        assert re.fullmatch(r"[A-Z][^\n]+\.", operation["summary"]), operation["operationId"]
        assert set(operation["tags"]) <= described
        assert any(status.startswith("4") for status in operation["responses"])
        assert any(status.startswith("2") for status in operation["responses"])


def test_www_authenticate_is_declared_where_it_arrives() -> None:
    """API Gateway renames the header in responses of the function."""
    by_authorizer = {o["operationId"] for o in operations() if o["security"] == [{"bearer": []}]}
    declared = {
        o["operationId"] for o in operations() if "WWW-Authenticate" in o["responses"].get("401", {}).get("headers", {})
    }

    assert declared == by_authorizer


def test_token_of_an_unsubscribe_link_is_required() -> None:
    methods = DOCUMENT["paths"]["/api/v1/notifications/unsubscribe/"].values()

    assert [(one["in"], one["name"], one["required"]) for operation in methods for one in operation["parameters"]] == [
        ("query", "token", True),
        ("query", "token", True),
    ]
