"""The OpenAPI 3.1 document, from the declared endpoints and their models.

``python -m ops.openapi`` writes it beside this file, from where the API serves it.
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Literal

from chalice.app import Chalice
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.core.resources import OPENAPI_FILE
from chalicelib.schemas.problems import Problem
from chalicelib.security.access import AccessRule, AuthMode
from chalicelib.web.endpoint import EndpointSpec

VERSION = "0.1.0"
_REF = "#/components/schemas/{model}"
_Mode = Literal["validation", "serialization"]
_Schemas = Mapping[Any, Any]

_PATH_PARAMETERS = {
    "course_id": "A course's id.",
    "lesson_id": "A lesson's id.",
    "enrollment_id": "An enrollment's id.",
    "user_id": "A user's id.",
    "asset": "The name of a file.",
}
_HEADERS = {
    "X-Request-ID": {"description": "This request's id, also in the logs.", "schema": {"type": "string"}},
    "X-Response-Time-ms": {"description": "Milliseconds of work.", "schema": {"type": "string"}},
}
_PRECONDITIONS = {"If-None-Match": 304, "If-Match": 412}


def document(app: Chalice) -> dict[str, Any]:
    """The whole document."""
    endpoints = list(_endpoints(app))
    schemas, definitions = models_json_schema([*_models(endpoints)], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path + "/", {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EduFlow",
            "version": VERSION,
            "description": "Courses, lessons, enrollments and users of an online school.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8000"}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def text(app: Chalice) -> str:
    """The document as it is committed."""
    return json.dumps(document(app), indent=1, sort_keys=True) + "\n"


def _endpoints(app: Chalice) -> Iterable[EndpointSpec]:
    for methods in app.routes.values():
        for entry in methods.values():
            endpoint: EndpointSpec = entry.view_function.endpoint  # type: ignore[attr-defined]
            if endpoint.responses != {200: None} or endpoint.name == "schema":
                yield endpoint


def _models(endpoints: list[EndpointSpec]) -> Iterable[tuple[type[BaseModel], _Mode]]:
    yield Problem, "serialization"
    for endpoint in endpoints:
        for model in (endpoint.body, endpoint.query):
            if model:
                yield model, "validation"
        for answer in endpoint.responses.values():
            if answer:
                yield answer, "serialization"


def _operation(endpoint: EndpointSpec, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [_tag(endpoint.path)],
        "security": _security(endpoint.access),
        "parameters": [*_parameters(endpoint)],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.body:
        content = {"application/json": {"schema": schemas[endpoint.body, "validation"]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _tag(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[2] if len(parts) > 2 else "service"


def _security(access: AccessRule) -> list[dict[str, list[str]]]:
    if access is AuthMode.PUBLIC:
        return []
    return [{}, {"bearer": []}] if access is AuthMode.OPTIONAL else [{"bearer": []}]


def _parameters(endpoint: EndpointSpec) -> Iterable[dict[str, Any]]:
    for part in endpoint.path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": _PATH_PARAMETERS[name],
                "schema": {"type": "string"},
            }
    for name, status in _PRECONDITIONS.items():
        if status in {*endpoint.responses, *endpoint.error_statuses}:
            yield {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
    if endpoint.query:
        for name, schema in endpoint.query.model_json_schema()["properties"].items():
            yield {"name": name, "in": "query", "required": False, "schema": schema}


def _responses(endpoint: EndpointSpec, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in endpoint.responses.items():
        responses[str(status)] = _response(status, schemas[model, "serialization"] if model else None)
        if 304 in endpoint.responses or 412 in endpoint.error_statuses:
            responses[str(status)]["headers"]["ETag"] = _header("Its version, for If-None-Match and If-Match.")
        if endpoint.reports_cache_status:
            responses[str(status)]["headers"]["X-Cache"] = _header("Whether a cache served it: hit, miss or bypass.")
    if endpoint.name == "schema":
        responses["200"]["content"] = {"application/json": {"schema": {"type": "object"}}}
    problem = {"$ref": _REF.format(model="Problem")}
    for status in sorted(_errors(endpoint)):
        responses[str(status)] = _response(status, problem, "application/problem+json")
    if not isinstance(endpoint.access, AuthMode):  # API Gateway renames the header in responses of the function
        responses["401"]["headers"]["WWW-Authenticate"] = _header("The authentication scheme: Bearer.")
    return responses


def _response(status: int, schema: Any, content_type: str = "application/json") -> dict[str, Any]:
    headers = dict(_HEADERS)
    if status == 201:
        headers["Location"] = _header("Where it is.")
    if status == 429:
        headers["Retry-After"] = _header("Seconds to wait.")
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": headers}
    if schema:
        response["content"] = {content_type: {"schema": schema}}
    return response


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _errors(endpoint: EndpointSpec) -> set[int]:
    found = {429, 500} | set(endpoint.error_statuses)
    if endpoint.body:
        found |= {400, 413, 415}
    if endpoint.query:
        found |= {400}
    if endpoint.access is not AuthMode.PUBLIC:
        found |= {401}
    if not isinstance(endpoint.access, AuthMode):
        found |= {403}
    return found


if __name__ == "__main__":
    from app import app as eduflow

    OPENAPI_FILE.write_text(text(eduflow), encoding="utf-8")
