"""The current request, for code that is not called with it.

Chalice keeps the request on the app, where the threads of ``chalice local`` would share it.
"""

import re
from contextvars import ContextVar
from urllib.parse import quote

from chalice.app import Request

from chalicelib.core.config import settings

request: ContextVar[Request] = ContextVar("request")
user_id: ContextVar[str | None] = ContextVar("user_id", default=None)

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


def request_path(of: Request) -> str:
    """Return the path as the client sent it, including the stage if the URL has it. Chalice's is the route's."""
    event = of.to_original_event()
    return quote(event["requestContext"].get("path") or event["path"], safe="/%:@!$&'()*+,;=~")


def base_url(of: Request) -> str:
    """Return the part of this client's URLs before ``/api/``: a custom domain, or the stage URL."""
    if settings().public_base_url:
        return settings().public_base_url
    route_length = of.path.count("/")
    prefix = "/".join(request_path(of).rstrip("/").split("/")[:-route_length])
    # Links contain what the client sent in these headers and can reach others: accept valid values only.
    scheme = "http" if of.headers.get("x-forwarded-proto", "http").lower() == "http" else "https"
    host = of.headers.get("host", "")
    return f"{scheme}://{host if _HOST.fullmatch(host) else 'localhost'}{prefix}"
