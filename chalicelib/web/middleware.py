"""Middleware of all HTTP requests: request ID, duration, access log, and Chalice's own errors as problem details."""

import json
import time
import uuid
from collections.abc import Callable

from chalice.app import Request, Response

from chalicelib.core import retries
from chalicelib.observability import logs, metrics
from chalicelib.observability.logs import access_log, error_log
from chalicelib.web import problems, request_context
from chalicelib.web.responses import COMMON_HEADERS, CONTENT_POLICY, HSTS, NO_STORE


def middleware(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Chalice's ``http`` middleware."""
    started = time.perf_counter()
    # API Gateway's request ID, so that its log and this one match; `chalice local` has none.
    logs.request_id.set(request.context.get("requestId") or str(uuid.uuid4()))
    request_context.request.set(request)
    request_context.user_id.set(None)
    with retries.request_budget():
        response = get_response(request)
    if response.status_code >= 400 and response.headers.get("Content-Type") != problems.CONTENT_TYPE:
        response = _as_problem(response, request)
    if response.status_code >= 400:
        response.headers |= NO_STORE
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    is_https = request.headers.get("x-forwarded-proto", "http").lower() == "https"
    response.headers |= COMMON_HEADERS | (HSTS if is_https else {})
    response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
    response.headers |= {"X-Request-ID": logs.request_id.get(), "X-Response-Time-ms": str(milliseconds)}
    _log_access(request, response.status_code, milliseconds)
    metrics.flush_if_due()
    return response


def _as_problem(response: Response, request: Request) -> Response:
    """Return Chalice's own error response, such as a 405, as a problem document."""
    body = response.body if isinstance(response.body, dict) else json.loads(response.body or "{}")
    detail = body.get("Message") or problems.title(response.status_code)
    error_log.info(detail, status=response.status_code, error=body.get("Code"))
    return Response(
        problems.from_status(response.status_code, detail, request_context.instance_path(request)),
        status_code=response.status_code,
        headers=response.headers | {"Content-Type": problems.CONTENT_TYPE},
    )


def _log_access(request: Request, status: int, milliseconds: float) -> None:
    path = request_context.request_path(request)
    access_log.info(
        f"{request.method} {path} {status}",
        method=request.method,
        path=path,
        status=status,
        user_id=request_context.user_id.get(),
        duration_ms=milliseconds,
    )
