"""Conditional requests: entity tags, If-None-Match and If-Match (RFC 9110 §13)."""

import re
from typing import Any

from chalice.app import Response
from pydantic import BaseModel

from chalicelib.core.errors import InvalidInput
from chalicelib.core.versions import ExpectedVersions
from chalicelib.web.endpoint import ApiRequest
from chalicelib.web.responses import json_response, json_text_response

_TAG = re.compile(r'(W/)?"([^"]*)"')
_ENTITY_TAG = r'(W/)?"[!#-~\u0080-\u00ff]*"'  # RFC 9110 §8.8.3
IF_MATCH_PATTERN = rf"^(\*|{_ENTITY_TAG}(\s*,\s*{_ENTITY_TAG})*)?$"  # RFC 9110 §13.1.1: the list may be empty
_VERSION = re.compile(r"[1-9][0-9]{0,9}")


def conditional_response(request: ApiRequest[Any, Any], body: str, version: float) -> Response:
    """Return the body, as JSON, with its ETag, or 304 without the body if the client has this version."""
    etag = _etag(version)
    header = request.request.headers.get("if-none-match", "")
    if header.strip() == "*" or etag in {f'"{value}"' for _, value in _TAG.findall(header)}:
        return Response("", status_code=304, headers={"ETag": etag})
    return json_text_response(body, headers={"ETag": etag})


def updated_response(body: BaseModel, version: float) -> Response:
    """Return the body of an updated resource with its new ETag."""
    return json_response(body, headers={"ETag": _etag(version)})


def if_match_versions(request: ApiRequest[Any, Any]) -> ExpectedVersions:
    """Return the versions of ``If-Match``, or None for any. A weak tag matches nothing (RFC 9110 §13.1.1).

    Raises:
        InvalidInput: The header is neither ``*`` nor a list of entity tags.
    """
    header = request.request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    if not re.fullmatch(IF_MATCH_PATTERN, header.strip()):
        raise InvalidInput('If-Match must be * or ETags with their quotes, such as "3".')
    return frozenset(int(value) for weak, value in _TAG.findall(header) if not weak and _VERSION.fullmatch(value))


def _etag(version: float) -> str:
    return f'"{int(version)}"'
