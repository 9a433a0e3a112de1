"""Health, OpenAPI document and Swagger UI in this process, and errors that every endpoint shares."""

import pytest

from chalicelib.core.roles import Role
from tests.factories import create_user
from tests.unit.handlers.conftest import HOST, ApiClient


def test_health_names_the_stage(http: ApiClient) -> None:
    response = http.call("GET", "/api/health/")

    assert (response.status, response.json) == (200, {"status": "ok", "stage": "test"})


def test_schema_and_docs_link_the_called_host(http: ApiClient) -> None:
    schema = http.call("GET", "/api/schema/")
    page = http.call("GET", "/api/docs/")

    assert schema.json["servers"] == [{"url": f"http://{HOST}"}]
    assert HOST not in page.body.decode(), "the page is the same for all hosts"


def test_docs_page_has_a_strict_policy(http: ApiClient) -> None:
    page = http.call("GET", "/api/docs/")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))

    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "<script>" not in page.body.decode()
    start = http.call("GET", "/api/docs/start.js")
    assert start.headers["content-type"] == "text/javascript; charset=utf-8"
    assert b"persistAuthorization" not in start.body


@pytest.mark.parametrize(
    ("method", "path", "token", "cache_control", "vary"),
    [
        ("GET", "/api/v1/courses/", False, "no-cache", "Authorization"),
        ("GET", "/api/v1/courses/", True, "no-store", "Authorization"),
        ("GET", "/api/v1/lessons/", True, "no-store", "Authorization"),
        ("GET", "/api/v1/auth/me/", True, "no-store", None),
        ("POST", "/api/v1/auth/login/", False, "no-store", None),
        ("GET", "/api/v1/courses-public/", False, None, None),
        ("GET", "/api/v1/courses-public/?limit=0", False, "no-store", None),
        ("GET", "/api/health/", False, None, None),
    ],
)
def test_response_of_a_caller_is_never_stored(
    http: ApiClient, method: str, path: str, token: bool, cache_control: str | None, vary: str | None
) -> None:
    response = http.call(method, path, create_user(Role.STUDENT) if token else None)

    assert response.headers.get("cache-control") == cache_control
    assert response.headers.get("vary") == vary


def test_docs_assets_are_cached_for_a_day(http: ApiClient) -> None:
    script = http.call("GET", "/api/docs/swagger-ui.js")

    assert (script.status, script.headers["cache-control"]) == (200, "public, max-age=86400")
    assert http.call("GET", "/api/docs/other.js").status == 404


@pytest.mark.parametrize(
    ("body", "content_type", "status", "text"),
    [
        (b"{", "application/json", 400, "at line 1 column 1"),
        (b"", "application/json", 400, "The body is empty."),
        (b"[]", "application/json", 400, "The body must be a JSON object."),
        (b'{"title": 1}', "application/json", 400, '"title"'),
        (b'{"title": "Knots", "price": "-1"}', "application/json", 400, '"price"'),
        (b"title=x", "application/x-www-form-urlencoded", 415, "application/json"),
        (b" " * (2 * 1024 * 1024 + 1), "application/json", 413, "2097152"),
    ],
)
def test_invalid_body_is_a_problem(http: ApiClient, body: bytes, content_type: str, status: int, text: str) -> None:
    caller = create_user(Role.INSTRUCTOR)

    response = http.call("POST", "/courses/", caller, body, Content_Type=content_type)

    assert (response.status, response.headers["content-type"]) == (status, "application/problem+json")
    assert text in response.body.decode()


@pytest.mark.parametrize("header", ["Bearer x", "Basic x", "Bearer"])
def test_invalid_token_is_401_on_optional_routes(http: ApiClient, header: str) -> None:
    response = http.call("GET", "/courses/", Authorization=header)

    assert response.status == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_responses_carry_request_id_and_duration(http: ApiClient) -> None:
    response = http.call("GET", "/api/health/")

    assert response.headers["x-request-id"]
    assert float(response.headers["x-response-time-ms"]) >= 0
