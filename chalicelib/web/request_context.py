"""The request at work, for what is far from its handler.

Chalice keeps the request on the app, where the threads of ``chalice local`` would share it.
"""

from contextvars import ContextVar
from urllib.parse import quote

from chalice.app import Request

request: ContextVar[Request] = ContextVar("request")
user_id: ContextVar[str | None] = ContextVar("user_id", default=None)


def path(of: Request) -> str:
    """The path as the client sent it, with the stage where that is part of the URL; Chalice's is the route's."""
    event = of.to_original_event()
    return quote(event["requestContext"].get("path") or event["path"], safe="/%:@!$&'()*+,;=~")
