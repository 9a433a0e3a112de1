"""Problem details (RFC 9457): the format of all error responses."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from chalicelib.core import clock, errors
from chalicelib.core.errors import DomainError
from chalicelib.observability import logs

CONTENT_TYPE = "application/problem+json"
# RFC 9110 §11.6.1, RFC 6750 §3: a 401 names the authentication scheme.
WWW_AUTHENTICATE = {"WWW-Authenticate": 'Bearer realm="EduFlow"'}
# RFC 6750 §3.1: it has an error code only if the request has a token.
WWW_AUTHENTICATE_INVALID_TOKEN = {"WWW-Authenticate": 'Bearer realm="EduFlow", error="invalid_token"'}

# RFC 9110 renamed them; http.HTTPStatus has the new phrases since Python 3.13.
_RENAMED_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}

STATUS_BY_ERROR: Mapping[type[DomainError], int] = {
    errors.InvalidInput: 400,
    errors.NotAuthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.RequestInProgress: 409,
    errors.CreatedAndDeleted: 410,
    errors.PreconditionFailed: 412,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.KeyReused: 422,
    errors.WriteContention: 429,
    errors.Throttled: 429,
    errors.TooManyAttempts: 429,
}


def title(status: int) -> str:
    """Return the title of a status, the same for all problems of its type (RFC 9457 §3.1.4)."""
    return _RENAMED_PHRASES.get(status) or HTTPStatus(status).phrase


def document(status: int, detail: str, instance: str, fields: tuple[errors.FieldError, ...] = ()) -> dict[str, Any]:
    """Return the problem document of the current request. Its type ``about:blank`` refers to the status (§4.2.1)."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "detail": detail,
        "instance": instance,
        "timestamp": clock.timestamp(),
        "request_id": logs.request_id.get(),
    }
    if fields:
        problem["errors"] = [{"field": f.field, "code": f.code, "message": f.message} for f in fields]
    return problem


def from_error(error: DomainError, instance: str) -> tuple[int, str]:
    """Return the status and body of a domain error."""
    status = STATUS_BY_ERROR[type(error)]
    return status, json.dumps(document(status, error.detail, instance, error.fields))


def from_status(status: int, detail: str, instance: str) -> str:
    """Return the body of a problem from a status and detail alone."""
    return json.dumps(document(status, detail, instance))
