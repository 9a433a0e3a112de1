"""Responses: conditional requests, problems, and the links of pages."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from chalicelib.core.errors import (
    Conflict,
    DomainError,
    FieldError,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    RetryLater,
    Throttled,
    TooManyAttempts,
    UnsupportedMediaType,
    WriteContention,
)
from chalicelib.core.pagination import Cursor, Page
from chalicelib.core.roles import Role
from chalicelib.observability import logs
from chalicelib.schemas.base import PageRead
from chalicelib.schemas.courses import CourseQuery
from chalicelib.schemas.reports import DailyReportQuery
from chalicelib.web import problems
from chalicelib.web.endpoint import ApiRequest
from chalicelib.web.etags import conditional_response, if_match_versions, updated_response
from chalicelib.web.pagination import page_request, page_response
from chalicelib.web.responses import error_response, internal_error_response, json_response, no_content
from tests.factories import create_user
from tests.unit.web.test_requests import request


class Body(BaseModel):
    x: int = 1


def api_request(query: Any = None, caller: Any = None, **headers: str) -> ApiRequest[Any, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ApiRequest(request(headers={"host": "h", **named}), caller, None, query)


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [
        (None, 200),
        ("", 200),
        ('"7"', 304),
        ('W/"7"', 304),
        ('"6", "7"', 304),
        ("*", 304),
        (" * ", 304),
        ('"8"', 200),
        ('"77"', 200),
        ("7", 200),
        ('"x*"', 200),
    ],
)
def test_if_none_match(if_none_match: str | None, status: int) -> None:
    headers = {} if if_none_match is None else {"if_none_match": if_none_match}

    response = conditional_response(api_request(**headers), '{"x":1}', 7)

    assert (response.status_code, response.headers["ETag"]) == (status, '"7"')
    assert response.body == ("" if status == 304 else '{"x":1}')


@pytest.mark.parametrize(
    ("if_match", "versions"),
    [
        (None, None),
        ("*", None),
        (" * ", None),
        ("", frozenset()),
        ('"7"', {7}),
        (' "7" ', {7}),
        ('"7", "8"', {7, 8}),
        ('W/"7"', frozenset()),
        ('W/"7", "8"', {8}),
        ('"x"', frozenset()),
        ('"07"', frozenset()),
        ('"0"', frozenset()),
        ('"1234567890"', {1234567890}),
        ('"12345678901"', frozenset()),
    ],
)
def test_if_match(if_match: str | None, versions: set[int] | None) -> None:
    headers = {} if if_match is None else {"if_match": if_match}

    assert if_match_versions(api_request(**headers)) == versions


@pytest.mark.parametrize("if_match", ["7", '"7', '7"', '"7" "8"', '"7";"8"', '*, "7"', "w/7", '"a"b"'])
def test_invalid_if_match_is_rejected(if_match: str) -> None:
    with pytest.raises(InvalidInput) as error:
        if_match_versions(api_request(if_match=if_match))
    assert error.value.detail == 'If-Match must be * or ETags with their quotes, such as "3".'


def test_updated_resource_has_its_new_etag() -> None:
    response = updated_response(Body(), 8)

    assert (response.status_code, response.headers["ETag"], response.body) == (200, '"8"', '{"x":1}')


def test_json_response() -> None:
    response = json_response(Body(), 201, {"Location": "/x"})

    assert (response.status_code, response.body) == (201, '{"x":1}')
    assert response.headers == {"Content-Type": "application/json", "Location": "/x"}
    assert (json_response(Body()).status_code, no_content().status_code, no_content().body) == (200, 204, "")


FIELDS = (FieldError("x", "code", "Message."),)
PLAIN, INVALID = 'Bearer realm="EduFlow"', 'Bearer realm="EduFlow", error="invalid_token"'


@pytest.mark.parametrize(
    ("error", "status", "title", "headers"),
    [
        (InvalidInput("d", FIELDS), 400, "Bad Request", {}),
        (NotAuthenticated("d"), 401, "Unauthorized", {"WWW-Authenticate": PLAIN}),
        (NotAuthenticated("d", is_token_invalid=True), 401, "Unauthorized", {"WWW-Authenticate": INVALID}),
        (Forbidden("d"), 403, "Forbidden", {}),
        (NotFound("d"), 404, "Not Found", {}),
        (Conflict("d", FIELDS), 409, "Conflict", {}),
        (PreconditionFailed("d"), 412, "Precondition Failed", {}),
        (PayloadTooLarge("d"), 413, "Content Too Large", {}),
        (UnsupportedMediaType("d"), 415, "Unsupported Media Type", {}),
        (WriteContention(), 429, "Too Many Requests", {"Retry-After": "1"}),
        (Throttled(), 429, "Too Many Requests", {"Retry-After": "2"}),
        (TooManyAttempts("d", 17), 429, "Too Many Requests", {"Retry-After": "17"}),
    ],
)
def test_error_is_a_problem(error: DomainError, status: int, title: str, headers: dict[str, str]) -> None:
    token = logs.request_id.set("the request")
    try:
        response = error_response(error, "/api/v1/x")
    finally:
        logs.request_id.reset(token)

    body = json.loads(response.body)
    assert body.pop("timestamp").endswith("Z")
    assert (response.status_code, response.headers) == (status, {"Content-Type": "application/problem+json"} | headers)
    expected: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": error.detail,
        "instance": "/api/v1/x",
        "request_id": "the request",
    }
    if error.fields:
        expected["errors"] = [{"field": "x", "code": "code", "message": "Message."}]
    assert body == expected


def test_every_error_has_a_status() -> None:
    leaves = {*DomainError.__subclasses__(), *RetryLater.__subclasses__()} - {RetryLater}
    assert set(problems.STATUS_BY_ERROR) == leaves


def test_client_learns_why_to_retry() -> None:
    assert WriteContention().detail == "The resource is being updated concurrently. Retry shortly."
    assert Throttled().detail == "The service receives too many requests at present. Retry shortly."


def test_unexpected_error_is_not_described() -> None:
    response = internal_error_response("/api/v1/x")

    body = json.loads(response.body)
    assert (response.status_code, response.headers) == (500, {"Content-Type": "application/problem+json"})
    assert (body["status"], body["detail"], body["instance"]) == (500, "Internal server error.", "/api/v1/x")


class Names(PageRead):
    results: list[Body]


def test_page_links_its_neighbours(aws: None) -> None:
    query = CourseQuery.model_validate({"limit": 2, "ordering": "price"})
    listed = api_request(query)

    response = json.loads(page_response(listed, Page([], Cursor("n"), Cursor("p", True)), Names, [Body()]).body)

    assert response["results"] == [{"x": 1}]
    for name, cursor in (("next", Cursor("n")), ("previous", Cursor("p", True))):
        base, _, parameters = response[name].partition("?")
        assert base == "http://h/api/v1/points/"
        pairs = dict(pair.split("=") for pair in parameters.split("&"))
        assert {**pairs, "cursor": ""} == {"limit": "2", "ordering": "price", "cursor": ""}
        followed = api_request(CourseQuery.model_validate(pairs))
        assert page_request(followed).cursor == cursor
        assert page_request(followed).limit == 2
    last = json.loads(page_response(listed, Page([], None, None), Names, []).body)
    assert last == {"next": None, "previous": None, "results": []}


def test_links_repeat_the_given_parameters_only(aws: None) -> None:
    query = DailyReportQuery.model_validate({"from": "2026-11-22", "to": None})

    response = page_response(api_request(query), Page([], Cursor("n"), None), Names, [])

    parameters = json.loads(response.body)["next"].partition("?")[2].split("&")
    assert [pair for pair in parameters if not pair.startswith("cursor=")] == ["from=2026-11-22"]
    assert len(parameters) == 2


def test_cursor_is_bound_to_query_and_role(aws: None) -> None:
    """A page can have another limit; another order, search, list or role is another list."""
    admin, student = create_user(Role.ADMIN), create_user(Role.STUDENT)
    page = page_response(api_request(CourseQuery.model_validate({}), student), Page([], Cursor("n"), None), Names, [])
    cursor = json.loads(page.body)["next"].partition("cursor=")[2]

    def follows(caller: Any, **query: Any) -> bool:
        try:
            page_request(api_request(CourseQuery.model_validate(query | {"cursor": cursor}), caller))
        except InvalidInput as error:
            [field] = error.fields
            assert (field.field, field.code) == ("cursor", "invalid_cursor")
            assert field.message == "The cursor is not valid for this list."
            return False
        return True

    assert follows(student)
    assert follows(student, limit=7)
    assert follows(create_user(Role.STUDENT))
    assert not follows(admin)
    assert not follows(None)
    assert not follows(student, ordering="price")
    assert not follows(student, search="knots")
    assert not follows(student, owner="me")
