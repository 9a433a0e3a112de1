"""The current request, for code that is not called with it.

Chalice keeps the request on the app, where the threads of ``chalice local`` would share it.
"""

import re
from contextvars import ContextVar
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from chalice.app import Request

from chalicelib.core.config import settings

request: ContextVar[Request] = ContextVar("request")
user_id: ContextVar[str | None] = ContextVar("user_id", default=None)

_IN_SEGMENTS = ":@!$&'()*+,;=~"  # RFC 3986 §3.3, and what quote() never escapes
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


def request_path(of: Request) -> str:
    """Return the path as the client sent it, including the stage if the URL has it. Chalice's is the route's."""
    event = of.to_original_event()
    return quote(event["requestContext"].get("path") or event["path"], safe=f"/%{_IN_SEGMENTS}")


def instance_path(of: Request) -> str:
    """Return the path of this resource, for problem documents: whatever spelling of it the client sent."""
    return f"{base_path(of)}/{'/'.join(map(_quoted, _route_segments(of)))}" + "/" * request_path(of).endswith("/")


def base_path(of: Request) -> str:
    """Return the path before ``/api/``: the stage in a stage URL, else empty.

    API Gateway's cache does not have the path in its key, so that a response must not depend on the spelling of the
    path: doubled slashes and encoded characters make no difference.
    """
    if settings().public_base_url:
        return urlsplit(settings().public_base_url).path
    return _before_route(request_path(of), _route_segments(of))


def base_url(of: Request) -> str:
    """Return the part of this client's URLs before ``/api/``: a custom domain, or the stage URL."""
    if settings().public_base_url:
        return settings().public_base_url
    # Links contain what the client sent in these headers and can reach others: accept valid values only.
    scheme = "http" if of.headers.get("x-forwarded-proto", "http").lower() == "http" else "https"
    host = of.headers.get("host", "")
    return f"{scheme}://{host if _HOST.fullmatch(host) else 'localhost'}{base_path(of)}"


@lru_cache(maxsize=16)  # each link of a response needs the same one
def _before_route(path: str, route: tuple[str, ...]) -> str:
    sent = _segments(path)
    before = sent[: -len(route)] if sent[-len(route) :] == route else ()
    return "".join(f"/{_quoted(segment)}" for segment in before)


def _route_segments(of: Request) -> tuple[str, ...]:
    """Return the segments of the route. The values of its parameters are decoded already."""
    parameters = of.uri_params or {}
    path = "/".join(parameters.get(part[1:-1], part) for part in of.path.split("/"))
    return tuple(segment for segment in path.split("/") if segment)


def _segments(path: str) -> tuple[str, ...]:
    return tuple(segment for segment in unquote(path).split("/") if segment)


def _quoted(segment: str) -> str:
    return quote(segment, safe=_IN_SEGMENTS)
