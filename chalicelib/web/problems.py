"""Errors as problem details (RFC 9457): the one form of everything that is not a success."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from chalicelib.core import clock, errors
from chalicelib.core.errors import EduFlowError
from chalicelib.observability import logs

CONTENT_TYPE = "application/problem+json"
AUTHENTICATE = {"WWW-Authenticate": 'Bearer realm="EduFlow"'}
"""RFC 9110 §11.6.1, RFC 6750 §3: a 401 names the scheme that is wanted."""

STATUS: Mapping[type[EduFlowError], int] = {
    errors.Invalid: 400,
    errors.NotAuthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.Busy: 429,
    errors.Throttled: 429,
}


def title(status: int) -> str:
    """The short name of a status: the same for every problem of its type (RFC 9457 §3.1.4)."""
    return HTTPStatus(status).phrase


def document(status: int, detail: str, instance: str, fields: tuple[errors.FieldError, ...] = ()) -> dict[str, Any]:
    """A problem of the request at work. Its type is ``about:blank``: the status says it all (§4.2.1)."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "detail": detail,
        "instance": instance,
        "timestamp": clock.rfc3339(clock.now()),
        "request_id": logs.request_id.get(),
    }
    if fields:
        problem["errors"] = [{"field": f.field, "code": f.code, "message": f.message} for f in fields]
    return problem


def of_error(error: EduFlowError, instance: str) -> tuple[int, str]:
    """The status and body that answer an error of the domain."""
    status = STATUS[type(error)]
    return status, json.dumps(document(status, error.detail, instance, error.fields))


def of_status(status: int, detail: str, instance: str) -> str:
    """The body of a problem that only a status is known of."""
    return json.dumps(document(status, detail, instance))
