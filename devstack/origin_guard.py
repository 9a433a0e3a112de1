"""Refuses requests that a web page of another site, open in a browser on this machine, makes to the local stack.

The local AWS needs no credentials and runs functions as processes of this machine. A page of any site can send requests
to it, and read the responses after it changed its own DNS record to 127.0.0.1 (DNS rebinding).
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

Asgi = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

_LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
_CROSS_SITE = {"cross-site", "same-site"}
_API = ".execute-api."  # in the host of a stage URL, whose CORS headers are the API's own
_CORS = b"access-control-"
_EMAILS = "/_ministack/ses/messages"  # a page that only shows


def guarded(app: Asgi, aws_port: int) -> Asgi:
    """Return an ASGI app that passes on only requests to a local host, and on the AWS port only those of no other site.

    The responses of the AWS port have no CORS headers: ministack would allow every site to read them.
    """

    async def guard(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        is_aws = scope["server"][1] == aws_port
        if reason := refusal(headers, is_aws=is_aws, path=scope["path"]):
            await _refuse(send, reason, scope["type"])
        else:
            is_api = not is_aws or _API in headers["host"]
            await app(scope, receive, send if is_api else _without_cors(send))

    return guard


def refusal(headers: dict[str, str], *, is_aws: bool, path: str = "/") -> str:
    """Return why a request is refused, or an empty text. The names of the headers are lower case."""
    if not _is_local(f"//{headers.get('host', '')}"):
        return f"The local stack has no host {headers.get('host')!r}."
    if not is_aws:
        return ""
    if "origin" in headers:
        is_local = _is_local(headers["origin"])
        return "" if is_local else f"The local AWS refuses requests of pages of {headers['origin']}."
    is_link = headers.get("sec-fetch-mode") == "navigate"  # such as in the README
    if headers.get("sec-fetch-site") in _CROSS_SITE and not (is_link and path == _EMAILS):
        return "The local AWS refuses requests of pages of other sites."
    return ""


def _is_local(url: str) -> bool:
    """Return whether the host of a URL is this machine. All names in localhost are (RFC 6761 §6.3)."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in _LOCAL_HOSTS or host.endswith(".localhost")


def _without_cors(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    def kept(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return [(name, value) for name, value in headers if not name.lower().startswith(_CORS)]

    async def send_without_cors(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": kept(message["headers"])}
        await send(message)

    return send_without_cors


async def _refuse(send: Callable[[Any], Awaitable[None]], reason: str, scope_type: str) -> None:
    if scope_type == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    problem = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": reason}
    body = json.dumps(problem).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
