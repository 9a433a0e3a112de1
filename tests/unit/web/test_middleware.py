"""What every request leaves behind: headers and log lines."""

import json
import time
import uuid
from typing import Any

import pytest
from chalice.app import Response

from chalicelib.observability import logs
from chalicelib.web.middleware import middleware
from tests.unit.conftest import log_lines
from tests.unit.web.test_requests import request


@pytest.fixture(autouse=True)
def every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_response_has_the_request_id_and_duration(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([100.0, 100.0123456])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))

    response = middleware(request(requestId="the gateway's"), lambda _: Response("", status_code=204))

    assert (response.headers["X-Request-ID"], response.headers["X-Response-Time-ms"]) == ("the gateway's", "12.3")
    assert logs.request_id.get() == "the gateway's"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    [(message, fields)] = log_lines(caplog, "app.access")
    assert message == "POST /api/v1/points 204"
    assert fields == {
        "method": "POST",
        "path": "/api/v1/points",
        "status": 204,
        "user_id": None,
        "duration_ms": 12.3,
    }


def test_request_without_an_id_gets_a_new_one() -> None:
    ids = {middleware(request(), lambda _: Response("")).headers["X-Request-ID"] for _ in range(2)}

    assert len({uuid.UUID(str(found)) for found in ids}) == 2


@pytest.mark.parametrize(
    ("status", "body", "detail"),
    [
        (400, {"Code": "BadRequestError", "Message": "Bad."}, "Bad."),
        (405, '{"Code": "MethodNotAllowedError", "Message": "Unsupported method: PUT"}', "Unsupported method: PUT"),
        (404, "", "Not Found"),
    ],
)
def test_error_of_chalice_is_a_problem(caplog: pytest.LogCaptureFixture, status: int, body: Any, detail: str) -> None:
    response = middleware(request(), lambda _: Response(body, status_code=status, headers={"Allow": "GET"}))

    problem = json.loads(response.body)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert response.headers["Allow"] == "GET"
    assert (problem["status"], problem["detail"], problem["instance"]) == (status, detail, "/api/v1/points")
    [(message, fields)] = log_lines(caplog, "app.error")
    code = "" if body == "" else ("BadRequestError" if status == 400 else "MethodNotAllowedError")
    assert (message, fields) == (detail, {"status": status, "error": code or None})


@pytest.mark.parametrize(
    ("scheme", "hsts"), [("https", "max-age=31536000"), ("http", None), ("HTTPS", "max-age=31536000")]
)
def test_response_has_security_headers(scheme: str, hsts: str | None) -> None:
    response = middleware(request(headers={"x-forwarded-proto": scheme}), lambda _: Response(""))

    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert response.headers.get("Strict-Transport-Security") == hsts
    assert "Cache-Control" not in response.headers


def test_error_is_never_stored() -> None:
    response = middleware(request(), lambda _: Response("", status_code=405, headers={"Cache-Control": "public"}))

    assert response.headers["Cache-Control"] == "no-store"
