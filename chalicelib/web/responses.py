"""Responses: JSON, no content, and errors as problem details."""

from collections.abc import Mapping

from chalice.app import CORSConfig, Response
from pydantic import BaseModel

from chalicelib.core.errors import DomainError, NotAuthenticated, RetryLater, TooManyAttempts
from chalicelib.observability import metrics
from chalicelib.web import problems

CORS = CORSConfig(
    allow_origin="*",
    allow_headers=["Idempotency-Key", "If-Match", "If-None-Match"],
    expose_headers=[
        "ETag",
        "Idempotency-Replayed",
        "Location",
        "Retry-After",
        "WWW-Authenticate",
        "X-Cache",
        "X-Request-ID",
        "X-Response-Time-ms",
    ],
    max_age=600,
)


SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}  # ASVS 5.0 3.4
CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"  # of all responses but pages, which have their own
HSTS = {"Strict-Transport-Security": "max-age=31536000"}  # RFC 6797: a year, and over HTTPS only
COMMON_HEADERS = SECURITY_HEADERS | CORS.get_access_control_headers()
NO_STORE = {"Cache-Control": "no-store"}
# Of pages with scripts: everything is of this origin, and nothing is inline.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def json_response(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a JSON body."""
    return json_text_response(body.model_dump_json(), status, headers)


def json_text_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a body that is JSON already."""
    return Response(text, status_code=status, headers={"Content-Type": "application/json", **(headers or {})})


def html_response(page: str) -> Response:
    """Return a page whose scripts and styles are files of this origin."""
    return Response(page, headers={"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": _PAGE_POLICY})


def no_content() -> Response:
    """Return a 204 response."""
    return Response("", status_code=204)


def error_response(error: DomainError, instance: str) -> Response:
    """Return the problem document of a domain error, for the path ``instance``."""
    status, body = problems.from_error(error, instance)
    headers: dict[str, str | list[str]] = {"Content-Type": problems.CONTENT_TYPE}
    if isinstance(error, NotAuthenticated):
        headers |= problems.WWW_AUTHENTICATE_INVALID_TOKEN if error.is_token_invalid else problems.WWW_AUTHENTICATE
    if isinstance(error, TooManyAttempts):
        metrics.increment("RateLimitsReached")
    if isinstance(error, RetryLater):
        headers["Retry-After"] = str(error.retry_after)
    return Response(body, status_code=status, headers=headers)


def internal_error_response(instance: str) -> Response:
    """Return the problem document of an unexpected exception, which it does not describe."""
    body = problems.from_status(500, "Internal server error.", instance)
    return Response(body, status_code=500, headers={"Content-Type": problems.CONTENT_TYPE})
