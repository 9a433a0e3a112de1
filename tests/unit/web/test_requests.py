"""Parsing and authentication of requests: rejections and their messages."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from chalice.app import Request
from pydantic import BaseModel, Field

from chalicelib.core.caller import Caller
from chalicelib.core.errors import (
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from chalicelib.core.roles import Role
from chalicelib.security import tokens
from chalicelib.security.access import ADMINS_ONLY, AUTHENTICATED, AuthMode
from chalicelib.web.authentication import authenticate
from chalicelib.web.requests import parse_body, parse_query
from tests.factories import create_token, create_user

CONTEXT = {"principalId": "u", "username": "ada", "role": "student", "session_id": "s", "expires_at": "4000000000"}


class Point(BaseModel):
    x: int = Field(ge=0)
    names: list[str] = []


def request(
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    query: dict[str, list[str]] | None = None,
    path: str = "/api/v1/points",
    **context: Any,
) -> Request:
    """Return a request as API Gateway passes it to Chalice."""
    event = {
        "httpMethod": "POST",
        "path": path,
        "headers": headers or {},
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()},
        "multiValueQueryStringParameters": query,
        "pathParameters": {},
        "stageVariables": {},
        "body": body.decode("latin-1"),
        "isBase64Encoded": False,
        "requestContext": {"httpMethod": "POST", "resourcePath": path, "path": path, "identity": {}} | context,
    }
    found: Any = Request(event, None)
    found._body = body
    result: Request = found
    return result


@pytest.mark.parametrize(
    ("body", "detail", "errors"),
    [
        (b"", "The body is empty.", []),
        (b" \n", "The body is empty.", []),
        (b"{", "The body is not JSON: EOF while parsing an object at line 1 column 1.", []),
        (b'{"x": 1,\n "x"}', "The body is not JSON: expected `:` at line 2 column 5.", []),
        (b"[1]", "The body must be a JSON object.", []),
        (b"null", "The body must be a JSON object.", []),
        (b"{}", "The input is invalid.", [("x", "missing", "Field required.")]),
        (
            b'{"x": -1, "names": ["a", 7]}',
            "The input is invalid.",
            [
                ("x", "greater_than_equal", "Input should be greater than or equal to 0."),
                ("names.1", "string_type", "Input should be a valid string."),
            ],
        ),
    ],
)
def test_invalid_body(body: bytes, detail: str, errors: list[tuple[str, str, str]]) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_body(Point, request(body))

    assert error.value.detail == detail
    assert [(field.field, field.code, field.message) for field in error.value.fields] == errors


def test_message_of_an_own_rule_is_a_sentence() -> None:
    from chalicelib.schemas.accounts import ProfilePatch
    from chalicelib.schemas.courses import CoursePatch
    from chalicelib.schemas.lessons import LessonPatch
    from chalicelib.schemas.reports import DailyReportQuery

    messages = []
    calls: list[Callable[[], object]] = [
        lambda: parse_body(CoursePatch, request(b'{"price": "x"}')),
        lambda: parse_body(LessonPatch, request(b'{"duration_min": "5"}')),
        lambda: parse_body(CoursePatch, request(b'{"title": "a\\u0007b"}')),
        lambda: parse_body(ProfilePatch, request(b'{"email": "ada"}')),
        lambda: parse_query(DailyReportQuery, request(query={"from": ["5"]})),
    ]
    for parse in calls:
        with pytest.raises(InvalidInput) as error:
            parse()
        [field] = error.value.fields
        messages.append((field.field, field.code, field.message))
    assert messages == [
        ("price", "value_error", 'Input should be an amount with at most two decimals, such as "49.90".'),
        ("duration_min", "value_error", "Input should be a valid integer."),
        ("title", "value_error", "Input should have no control characters."),
        ("email", "string_pattern_mismatch", "Input does not have the required format."),
        ("from", "value_error", "Input should be a date of the form YYYY-MM-DD."),
    ]


@pytest.mark.parametrize(
    ("content_type", "is_accepted"),
    [
        (None, True),
        ("application/json", True),
        ("Application/JSON ; charset=utf-8", True),
        ("text/plain", False),
        ("application/json-patch+json", False),
        ("", False),
    ],
)
def test_media_type(content_type: str | None, is_accepted: bool) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    if is_accepted:
        assert parse_body(Point, request(b'{"x": 1}', headers)).x == 1
    else:
        with pytest.raises(UnsupportedMediaType) as error:
            parse_body(Point, request(b'{"x": 1}', headers))
        assert error.value.detail == f"The body must be application/json, not {content_type}."


def test_body_has_two_megabytes_at_most() -> None:
    def padded(size: int) -> bytes:
        return b'{"x": 1}' + b" " * (size - 8)

    assert parse_body(Point, request(padded(2_097_152))).x == 1
    with pytest.raises(PayloadTooLarge) as error:
        parse_body(Point, request(padded(2_097_153)))
    assert error.value.detail == "The body is larger than 2097152 bytes."


def test_endpoint_without_input_parses_none() -> None:
    assert parse_body(None, request(b"no JSON", {"content-type": "text/plain"})) is None
    assert parse_query(None, request(query={"x": ["no"]})) is None
    with pytest.raises(InvalidInput):
        parse_query(Point, request())


# Authentication


def authorized(**changes: str) -> Request:
    return request(authorizer=CONTEXT | changes)


def test_caller_of_the_authorizer(aws: None) -> None:
    caller = authenticate(AUTHENTICATED, authorized())

    assert caller == Caller("u", "ada", Role.STUDENT, "s")
    with pytest.raises(Forbidden) as error:
        authenticate(ADMINS_ONLY, authorized())
    assert error.value.detail == "Your role does not permit this operation."
    assert authenticate(ADMINS_ONLY, authorized(role="admin")) is not None


def test_cached_policy_does_not_outlive_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)

    assert authenticate(AUTHENTICATED, authorized(expires_at="1001")) is not None
    for expired in ("1000", "999"):
        with pytest.raises(NotAuthenticated) as error:
            authenticate(AUTHENTICATED, authorized(expires_at=expired))
        assert (error.value.detail, error.value.is_token_invalid) == ("The token has expired.", True)


@pytest.mark.parametrize(
    "context",
    [
        *({name: value for name, value in CONTEXT.items() if name != missing} for missing in CONTEXT),
        CONTEXT | {"role": "headmaster"},
        CONTEXT | {"expires_at": "never"},
        None,
        {},
    ],
)
def test_incomplete_authorizer_context_is_no_caller(aws: None, context: dict[str, str] | None) -> None:
    with pytest.raises(NotAuthenticated) as error:
        authenticate(AUTHENTICATED, request(authorizer=context))
    assert (error.value.detail, error.value.is_token_invalid) == ("Authentication required.", False)


def test_gateway_without_an_authorizer(aws: None) -> None:
    student = create_user(Role.STUDENT)
    bearer = {"authorization": f"Bearer {create_token(student)}"}

    assert authenticate(AUTHENTICATED, request(headers=bearer)) == student
    with pytest.raises(Forbidden):
        authenticate(ADMINS_ONLY, request(headers=bearer))


def test_optional_and_public_endpoints(aws: None) -> None:
    student = create_user(Role.STUDENT)
    bearer = {"authorization": f"Bearer {create_token(student)}"}

    assert authenticate(AuthMode.PUBLIC, request(headers={"authorization": "nonsense"})) is None
    assert authenticate(AuthMode.OPTIONAL, request()) is None
    assert authenticate(AuthMode.OPTIONAL, request(headers=bearer)) == student
    for header in ("", "Bearer", "Bearer x", f"Basic {create_token(student)}", f"Bearer {create_token(student)}x"):
        with pytest.raises(NotAuthenticated) as error:
            authenticate(AuthMode.OPTIONAL, request(headers={"authorization": header}))
        assert (error.value.detail, error.value.is_token_invalid) == ("Invalid token.", True)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_two_authorization_headers_are_refused(aws: None, name: str) -> None:
    """API Gateway passes one of them in ``headers``: which one is not documented."""
    bearer = f"Bearer {create_token(create_user(Role.STUDENT))}"
    found = request(headers={"authorization": bearer})
    found._event_dict["multiValueHeaders"] = {"Accept": ["a", "b"], name: [bearer, bearer]}

    with pytest.raises(NotAuthenticated) as error:
        authenticate(AuthMode.OPTIONAL, found)
    assert error.value.detail == "The request has more than one Authorization header."


def test_other_repeated_headers_are_accepted(aws: None) -> None:
    student = create_user(Role.STUDENT)
    bearer = f"Bearer {create_token(student)}"
    found = request(headers={"authorization": bearer})
    found._event_dict["multiValueHeaders"] = {"Accept": ["a", "b"], "Authorization": [bearer]}

    assert authenticate(AuthMode.OPTIONAL, found) == student


def test_refresh_token_is_no_create_token(aws: None) -> None:
    token = create_token(Caller("u", "ada", Role.STUDENT, "s"), tokens.TokenType.REFRESH)
    with pytest.raises(NotAuthenticated):
        authenticate(AuthMode.OPTIONAL, request(headers={"authorization": f"Bearer {token}"}))
