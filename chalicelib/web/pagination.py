"""Lists on the wire: cursors in, pages with links out."""

from collections.abc import Sequence
from typing import Any

from chalice.app import Response
from pydantic import BaseModel

from chalicelib.core.pagination import Page, PageRequest, Place
from chalicelib.schemas.base import ListOut, PageQuery
from chalicelib.web import cursors
from chalicelib.web.routing import Call, json_answer


def page_request(call: Call[Any, Any]) -> PageRequest:
    """The page that the query asks for.

    Raises Invalid for a cursor of another list, query or role.
    """
    query: PageQuery = call.query
    return PageRequest(query.limit, place_of(call, query.cursor))


def place_of(call: Call[Any, Any], cursor: str | None) -> Place | None:
    """The place that a cursor of this list means; None without one.

    Raises Invalid for a cursor of another list, query or role.
    """
    return cursors.decode(cursor, _scope(call)) if cursor is not None else None


def list_answer(
    call: Call[Any, Any], page: Page[Any], model: type[ListOut[Any]], results: Sequence[BaseModel]
) -> Response:
    """A page as JSON, with absolute links to its neighbours."""
    return json_answer(model(next=link(call, page.next), previous=link(call, page.previous), results=[*results]))


def link(call: Call[Any, Any], place: Place | None) -> str | None:
    """The absolute URL of a place in this list; None for none."""
    if place is None:
        return None
    parameters = call.query.model_dump(exclude_unset=True, exclude_none=True, by_alias=True)
    return call.url(_path(call), parameters | {"cursor": cursors.encode(place, _scope(call))})


def _path(call: Call[Any, Any]) -> str:
    return str(call.request.path).rstrip("/") + "/"


def _scope(call: Call[Any, Any]) -> str:
    """What a cursor is bound to: the list, its query without the page, and whose eyes it is for."""
    query = call.query.model_dump_json(exclude={"limit", "cursor"})
    visitor = call.visitor
    return f"{_path(call)} {query} {visitor.role if visitor else 'anonymous'}"
