"""Entity tags: which version an answer shows, and which version a request is meant for (RFC 9110 §13)."""

import re
from typing import Any

from chalice.app import Response
from pydantic import BaseModel

from chalicelib.services.courses import Versions
from chalicelib.web.routing import Call, json_answer

_TAG = re.compile(r'(W/)?"([^"]*)"')
_VERSION = re.compile(r"[1-9][0-9]{0,9}")


def tagged(call: Call[Any, Any], body: BaseModel, version: float) -> Response:
    """The thing with its ETag; a 304 without it, if the client has this version."""
    tag = _tag(version)
    wanted = call.request.headers.get("if-none-match", "")
    if wanted.strip() == "*" or tag in {f'"{value}"' for _, value in _TAG.findall(wanted)}:
        return Response("", status_code=304, headers={"ETag": tag})
    return json_answer(body, headers={"ETag": tag})


def written(body: BaseModel, version: float) -> Response:
    """The thing as it was written, with its new ETag."""
    return json_answer(body, headers={"ETag": _tag(version)})


def expected_versions(call: Call[Any, Any]) -> Versions:
    """The versions that ``If-Match`` names: None for any. A weak tag matches nothing (RFC 9110 §13.1.1)."""
    header = call.request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    return frozenset(int(value) for weak, value in _TAG.findall(header) if not weak and _VERSION.fullmatch(value))


def _tag(version: float) -> str:
    return f'"{int(version)}"'
