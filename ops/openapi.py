"""The OpenAPI 3.1 document, generated from the declared endpoints and their models.

``python -m ops.openapi`` writes the file that the API serves.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from chalice.app import Chalice
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.core.resources import OPENAPI_FILE
from chalicelib.security.access import AccessRule, AuthMode
from chalicelib.web import problems
from chalicelib.web.endpoint import API_PREFIX, EndpointSpec
from chalicelib.web.etags import IF_MATCH_PATTERN
from chalicelib.web.idempotency import KEY_HEADER, KEY_PATTERN, REPLAYED_HEADER
from ops.problem_schemas import Problem

VERSION = "0.1.0"
_REF = "#/components/schemas/{model}"
_Mode = Literal["validation", "serialization"]
_Schemas = Mapping[Any, Any]

_DESCRIPTION = """Courses, lessons, enrollments and users of an online school.

Log in at `/auth/login/` and send the access token as `Authorization: Bearer <token>`. In Swagger UI, run
`POST /api/v1/auth/login/`, copy `access` from the response, and paste it at "Authorize". `make run` creates the account
`ada` with the password `learn-with-eduflow`. Unknown fields in bodies and unknown query parameters are ignored. Errors
are problem details (RFC 9457).

A client that lost the response of a `POST` to `/courses/`, `/lessons/` or `/enrollments/` repeats it with the same
`Idempotency-Key`: one resource is created. All other operations ignore this header. So do those of `/auth/`: responses
with tokens are not stored, and a repeated refresh is a sign of a stolen token."""
_TAGS = {
    "auth": "Registration, login, and the caller's own account.",
    "courses": "Courses. Published courses are public.",
    "enrollments": "Enrollments of students in courses.",
    "lessons": "The lessons of courses.",
    "notifications": "The links in emails by which users unsubscribe.",
    "reports": "Daily reports, for admins.",
    "audit": "Who did what to whom, for admins.",
    "system": "The API itself.",
    "waitlist": "Students who wait for a place in a course.",
    "users": "User administration, for admins.",
}
_TAG_OF_PATH = {"courses-public": "courses"}
_PATH_PARAMETERS = {
    "course_id": "The ID of the course.",
    "lesson_id": "The ID of the lesson.",
    "enrollment_id": "The ID of the enrollment.",
    "entry_id": "The ID of the waiting entry.",
    "user_id": "The ID of the user.",
}
# What endpoints without a response model respond, by operation.
_CONTENT = {
    "get_schema": {"application/json": {"schema": {"type": "object"}}},
    "get_unsubscribe_page": {"text/html": {"schema": {"type": "string"}}},
    "unsubscribe": {"text/plain": {"schema": {"type": "string"}}},
}
_HEADERS = {
    "X-Request-ID": {"description": "The ID of the request, also in the logs.", "schema": {"type": "string"}},
    "X-Response-Time-ms": {"description": "The duration in milliseconds.", "schema": {"type": "string"}},
}
_PRECONDITIONS = {
    "If-None-Match": (304, {"type": "string"}, "The ETag that the client has. If it is current, the response is 304."),
    "If-Match": (
        412,
        {"type": "string", "pattern": IF_MATCH_PATTERN},
        "The ETag that the change is based on, with its quotes. If it is not current, the response is 412.",
    ),
}
_IDEMPOTENCY_KEY = (
    "Identifies this request for 24 hours. A repeated request with the same key and body gets the same status and the "
    "resource as it is then, with `Idempotency-Replayed: true`. While the first one is in progress, the response is "
    "409, after the resource was deleted 410, and with another body 422. The key of a request that was refused, "
    "other than by 429, can be used again with another body."
)


def document(app: Chalice) -> dict[str, Any]:
    """Return the document of an app."""
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
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8000"}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"] | _definitions_of_queries(endpoints),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def text(app: Chalice) -> str:
    """Return the document as it is committed."""
    return json.dumps(document(app), indent=1, sort_keys=True) + "\n"


def _endpoints(app: Chalice) -> Iterable[EndpointSpec]:
    """Return all endpoints but the pages of the documentation."""
    for methods in app.routes.values():
        for entry in methods.values():
            endpoint: EndpointSpec = entry.view_function.endpoint  # type: ignore[attr-defined]
            if endpoint.responses != {200: None} or endpoint.name in _CONTENT:
                yield endpoint


def _models(endpoints: list[EndpointSpec]) -> Iterable[tuple[type[BaseModel], _Mode]]:
    """Return the models of bodies and responses. Those of queries become parameters."""
    yield Problem, "serialization"
    for endpoint in endpoints:
        if endpoint.body:
            yield endpoint.body, "validation"
        for model in endpoint.responses.values():
            if model:
                yield model, "serialization"


def _definitions_of_queries(endpoints: Iterable[EndpointSpec]) -> dict[str, Any]:
    """Return the schemas to which query parameters refer."""
    definitions: dict[str, Any] = {}
    for query in filter(None, (endpoint.query for endpoint in endpoints)):
        definitions |= query.model_json_schema(ref_template=_REF).get("$defs", {})
    return definitions


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
    if not path.startswith(f"{API_PREFIX}/"):
        return "system"
    name = path.removeprefix(f"{API_PREFIX}/").partition("/")[0]
    return _TAG_OF_PATH.get(name, name)


def _security(access: AccessRule) -> list[dict[str, list[str]]]:
    if access is AuthMode.PUBLIC:
        return []
    return [{}, {"bearer": []}] if access is AuthMode.OPTIONAL else [{"bearer": []}]


def _parameters(endpoint: EndpointSpec) -> Iterable[dict[str, Any]]:
    for part in endpoint.path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            yield _parameter("path", name, {"type": "string"}, _PATH_PARAMETERS[name], required=True)
    for name, (status, schema, description) in _PRECONDITIONS.items():
        if status in {*endpoint.responses, *endpoint.error_statuses}:
            yield _parameter("header", name, schema, description)
    if endpoint.accepts_idempotency_key:
        yield _parameter("header", KEY_HEADER, {"type": "string", "pattern": KEY_PATTERN}, _IDEMPOTENCY_KEY)
    if endpoint.query:
        model = endpoint.query.model_json_schema(ref_template=_REF)
        for name, schema in model["properties"].items():
            is_required = name in model.get("required", [])
            yield _parameter("query", name, schema, schema.pop("description", ""), required=is_required)


def _parameter(place: str, name: str, schema: Any, description: str, *, required: bool = False) -> dict[str, Any]:
    parameter = {"name": name, "in": place, "required": required, "schema": schema}
    return parameter | ({"description": description} if description else {})


def _responses(endpoint: EndpointSpec, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in endpoint.responses.items():
        responses[str(status)] = _response(status, schemas[model, "serialization"] if model else None)
        if 304 in endpoint.responses or 412 in endpoint.error_statuses:
            responses[str(status)]["headers"]["ETag"] = _header("The version, for If-None-Match and If-Match.")
        if endpoint.reports_cache_status:
            description = "How the cache served the response: hit, miss or bypass."
            responses[str(status)]["headers"]["X-Cache"] = _header(description)
    if endpoint.name in _CONTENT:
        responses["200"]["content"] = _CONTENT[endpoint.name]
    problem = {"$ref": _REF.format(model="Problem")}
    for status in sorted(_error_statuses(endpoint)):
        responses[str(status)] = _response(status, problem, "application/problem+json")
    if endpoint.accepts_idempotency_key:
        for status in endpoint.responses:
            responses[str(status)]["headers"] |= {
                "Location": _header("The URL of the new resource."),
                REPLAYED_HEADER: _header("`true` if an earlier request created the resource."),
            }
        responses["409"]["headers"]["Retry-After"] = _header("Seconds, if a request with this key is in progress.")
    if not isinstance(endpoint.access, AuthMode):  # API Gateway renames the header in responses of the function
        responses["401"]["headers"]["WWW-Authenticate"] = _header("The authentication scheme: Bearer.")
    return responses


def _response(status: int, schema: Any, content_type: str = "application/json") -> dict[str, Any]:
    headers = dict(_HEADERS)
    if status == 201:
        headers["Location"] = _header("The URL of the new resource.")
    if status == 429:
        headers["Retry-After"] = _header("Seconds until a retry can succeed.")
    response: dict[str, Any] = {"description": problems.title(status), "headers": headers}
    if schema:
        response["content"] = {content_type: {"schema": schema}}
    return response


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _error_statuses(endpoint: EndpointSpec) -> set[int]:
    statuses = {429, 500} | set(endpoint.error_statuses)
    if endpoint.body:
        statuses |= {400, 413, 415}
    if endpoint.query or 412 in statuses:
        statuses |= {400}
    if endpoint.accepts_idempotency_key:
        statuses |= {409, 410, 422}
    if endpoint.access is not AuthMode.PUBLIC:
        statuses |= {401}
    if not isinstance(endpoint.access, AuthMode):
        statuses |= {403}
    return statuses


if __name__ == "__main__":
    from app import app as eduflow  # late: only the command needs the app

    OPENAPI_FILE.write_text(text(eduflow), encoding="utf-8")
