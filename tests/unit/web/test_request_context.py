"""The URLs of a request: those of links, and the path in logs and problems."""

import pytest

from chalicelib.core.config import settings
from chalicelib.core.errors import DomainError
from chalicelib.web import request_context
from chalicelib.web.endpoint import ApiRequest
from tests.unit.web.test_requests import request


@pytest.mark.parametrize(
    ("headers", "context_path", "expected"),
    [
        ({"host": "api.example.org"}, "/prod/api/v1/points/", "http://api.example.org/prod"),
        (
            {"host": "api.example.org:8443", "x-forwarded-proto": "https"},
            "/api/v1/points",
            "https://api.example.org:8443",
        ),
        ({"host": "[::1]:8000", "x-forwarded-proto": "HTTP"}, "/api/v1/points", "http://[::1]:8000"),
        ({"host": "api.example.org", "x-forwarded-proto": "javascript"}, "/api/v1/points", "https://api.example.org"),
        ({"host": 'evil"><script>'}, "/api/v1/points", "http://localhost"),
        ({"host": "a.example.org/evil"}, "/api/v1/points", "http://localhost"),
        ({}, "/api/v1/points", "http://localhost"),
    ],
)
def test_base_url(headers: dict[str, str], context_path: str, expected: str) -> None:
    found = request(headers=headers)
    found._event_dict["requestContext"]["path"] = context_path

    assert request_context.base_url(found) == expected
    api_request: ApiRequest[None, None] = ApiRequest(found, None, None, None)
    assert api_request.url("/api/v1/points/", {"cursor": "a b", "limit": 2}) == (
        f"{expected}/api/v1/points/?cursor=a+b&limit=2"
    )
    assert api_request.url("/api/v1/points/") == f"{expected}/api/v1/points/"


@pytest.mark.parametrize("stage", ["", "/prod"])
@pytest.mark.parametrize(
    "spelling",
    [
        "/api/v1/points",
        "/api/v1/points/",
        "/api//v1/points/",
        "//api/v1//points//",
        "/api/%2Fv1/points/",
        "/%61pi/v1/points",
        "/api/v1/points%2F",
    ],
)
def test_spelling_of_a_path_shapes_nothing(stage: str, spelling: str) -> None:
    found = request(headers={"host": "api.example.org"})
    found._event_dict["requestContext"]["path"] = stage + spelling

    assert request_context.base_path(found) == stage
    assert request_context.base_url(found) == f"http://api.example.org{stage}"
    assert request_context.instance_path(found).rstrip("/") == f"{stage}/api/v1/points"


def test_paths_behind_a_proxy_are_those_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "public_base_url", "https://school.example/lms")
    found = request(headers={"host": "api.example.org"})
    found._event_dict["requestContext"]["path"] = "/prod/api/v1/points/"

    assert request_context.base_path(found) == "/lms"
    assert request_context.instance_path(found) == "/lms/api/v1/points/"


def test_parameter_is_decoded_once() -> None:
    found = request()
    found._event_dict["requestContext"]["path"] = "/prod/api/v1/points/%2541"
    found.path, found.uri_params = "/api/v1/points/{point_id}", {"point_id": "%41"}

    assert request_context.base_path(found) == "/prod"
    assert request_context.instance_path(found) == "/prod/api/v1/points/%2541"


def test_path_parameters_are_part_of_the_instance() -> None:
    found = request(headers={"host": "api.example.org"})
    found._event_dict["requestContext"]["path"] = "/prod/api/v1/points/a%20b/"
    found.path, found.uri_params = "/api/v1/points/{point_id}", {"point_id": "a b"}

    assert request_context.instance_path(found) == "/prod/api/v1/points/a%20b/"
    found._event_dict["requestContext"]["path"] = "/another/path"
    assert request_context.instance_path(found) == "/api/v1/points/a%20b"


def test_request_path_is_escaped() -> None:
    found = request()
    found._event_dict["requestContext"]["path"] = '/prod/api/v1/points/a b"<>?é'
    assert request_context.request_path(found) == "/prod/api/v1/points/a%20b%22%3C%3E%3F%C3%A9"
    found._event_dict["requestContext"]["path"] = "/prod/a%20b:c@d!$&'()*+,;=~"
    assert request_context.request_path(found) == "/prod/a%20b:c@d!$&'()*+,;=~"
    del found._event_dict["requestContext"]["path"]
    assert request_context.request_path(found) == "/api/v1/points"


def test_endpoint_of_a_required_token_has_a_caller() -> None:
    api_request: ApiRequest[None, None] = ApiRequest(request(identity={"sourceIp": "192.0.2.7"}), None, None, None)

    assert api_request.client_ip == "192.0.2.7"
    with pytest.raises(DomainError, match="Authentication required"):
        _ = api_request.caller
