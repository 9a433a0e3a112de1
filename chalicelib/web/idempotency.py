"""Idempotency-Key: a client repeats a request whose response it lost, without creating a second resource.

https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from chalice.app import Request, Response
from pydantic import BaseModel

from chalicelib.core.errors import InvalidInput
from chalicelib.services import idempotent_creation
from chalicelib.web.endpoint import ApiRequest
from chalicelib.web.responses import json_response

KEY_HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotency-Replayed"
# A string (RFC 8941 §3.3.3) of visible characters, or the characters of a token (§3.3.4), with any of them first.
KEY_PATTERN = r"""^("([!#-\[\]-~]|\\["\\]){1,64}"|[A-Za-z0-9!#$%&'*+.^_`|~:/-]{1,64})$"""
_ESCAPE = re.compile(r"\\(.)")


class _Entity(Protocol):
    @property
    def id(self) -> str: ...


Entity = TypeVar("Entity", bound=_Entity)


def parse_idempotency_key(request: Request) -> str | None:
    """Return the value of Idempotency-Key, or None without the header.

    Raises:
        InvalidInput: It is neither a string nor a token, is too long, or is sent more than once.
    """
    header = request.headers.get(KEY_HEADER)
    if header is None:
        return None
    values: Mapping[str, list[str]] = request.to_original_event().get("multiValueHeaders") or {}
    is_repeated = any(name.lower() == KEY_HEADER.lower() and len(lines) > 1 for name, lines in values.items())
    if is_repeated or not re.fullmatch(KEY_PATTERN, header):
        message = 'The header should be one string of 1 to 64 visible characters, such as "8e03978e-40d5-43dd".'
        raise InvalidInput.for_field(KEY_HEADER, "invalid_key", message)
    return _ESCAPE.sub(r"\1", header[1:-1]) if header.startswith('"') else header


def creation_response(
    request: ApiRequest[Any, None],
    render: Callable[[Entity], BaseModel],
    *,
    new_seed: Callable[[], str],
    create: Callable[[str], Entity],
    find: Callable[[str], Entity],
    locate: Callable[[Entity], tuple[int, str]] | None = None,
) -> Response:
    """Create a resource, or find the one that an earlier request with the same key created, and return it.

    Both get what ``new_seed`` returned: the random part of the resource's ID. ``locate`` returns the status and the
    path of the collection if they are not 201 and that of the request.
    """
    headers = {}
    if request.idempotency_key is None:
        entity = idempotent_creation.create_new(new_seed(), create)
    else:
        scope = (request.caller.id, request.request.method, request.request.path, request.idempotency_key)
        body = request.body.model_dump_json(exclude_unset=True)
        entity, is_replayed = idempotent_creation.create_once(scope, body, new_seed(), create, find)
        headers = {REPLAYED_HEADER: "true"} if is_replayed else {}
    status, path = locate(entity) if locate else (201, request.request.path)
    return json_response(render(entity), status, {"Location": request.url(f"{path}/{entity.id}/")} | headers)
