"""Lists over HTTP: cursors in the query, pages with links in the response."""

import json
from collections.abc import Sequence
from typing import Any

from chalice.app import Response
from pydantic import BaseModel

from chalicelib.core.pagination import Cursor, Page, PageRequest
from chalicelib.schemas.base import PageQuery, PageRead
from chalicelib.services.rendering import RenderedCoursePage
from chalicelib.web import cursors
from chalicelib.web.endpoint import ApiRequest
from chalicelib.web.responses import json_response, json_text_response


def page_request(request: ApiRequest[Any, Any]) -> PageRequest:
    """Return the page that the query requests.

    Raises:
        InvalidInput: The cursor was issued for another list, query or role.
    """
    query: PageQuery = request.query
    return PageRequest(query.limit, decode_cursor(request, query.cursor))


def decode_cursor(request: ApiRequest[Any, Any], text: str | None) -> Cursor | None:
    """Return the cursor of this list, or None without one.

    Raises:
        InvalidInput: The cursor was issued for another list, query or role.
    """
    return cursors.decode(text, _scope(request)) if text is not None else None


def page_response(
    request: ApiRequest[Any, Any], page: Page[Any], model: type[PageRead], results: Sequence[BaseModel]
) -> Response:
    """Return a page as JSON, with absolute links to its neighbours."""
    links = {"next": page_url(request, page.next_cursor), "previous": page_url(request, page.previous_cursor)}
    return json_response(model(**links, results=[*results]))


def rendered_page_response(
    request: ApiRequest[Any, Any], page: Page[Any] | RenderedCoursePage, results: str
) -> Response:
    """Return a page with absolute links to its neighbours. ``results`` are JSON already, separated by commas."""
    links = [json.dumps(page_url(request, cursor)) for cursor in (page.next_cursor, page.previous_cursor)]
    return json_text_response(f'{{"next":{links[0]},"previous":{links[1]},"results":[{results}]}}')


def page_url(request: ApiRequest[Any, Any], cursor: Cursor | None) -> str | None:
    """Return the absolute URL of the page at a cursor, or None without one."""
    if cursor is None:
        return None
    parameters = request.query.model_dump(exclude_unset=True, exclude_none=True, by_alias=True)
    return request.url(_path(request), parameters | {"cursor": cursors.encode(cursor, _scope(request))})


def _path(request: ApiRequest[Any, Any]) -> str:
    return str(request.request.path).rstrip("/") + "/"


def _scope(request: ApiRequest[Any, Any]) -> str:
    """Return what a cursor is bound to: the list, its query without the page, and the caller's role."""
    query = request.query.model_dump_json(exclude={"limit", "cursor"})
    caller = request.caller_or_none
    return f"{_path(request)} {query} {caller.role if caller else 'anonymous'}"
