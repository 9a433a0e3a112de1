"""Errors that no client can cause from outside, through the app in memory."""

import json
from typing import Any

import pytest
from chalice.test import Client

from app import app
from chalicelib.core import config as settings_module
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.observability import logs
from tests.factories import create_course, create_user


@pytest.fixture
def client(aws: None) -> Any:
    with Client(app, stage_name="test") as client:
        yield client


def test_unhandled_exception_is_a_500_without_details(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("the password of the database is swordfish")

    monkeypatch.setattr(Course, "find", fail)
    logs.configure()  # to the standard output that this test reads

    response = client.http.get("/api/v1/courses/0000000000000000")

    assert response.status_code == response.json_body["status"] == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json_body["request_id"] == response.headers["X-Request-ID"]
    assert "swordfish" not in response.body.decode()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    [error] = [line for line in lines if line["logger"] == "app.error"]
    assert "swordfish" in error["stack_trace"]
    assert (error["level"], error["request_id"]) == ("ERROR", response.headers["X-Request-ID"])
    [access] = [line for line in lines if line["logger"] == "app.access"]
    assert access["extra"]["status"] == 500


def test_links_have_the_custom_domain(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    for _ in range(2):
        create_course(teacher)
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://api.school.example/v2/")
    settings_module.settings.cache_clear()
    try:
        page = client.http.get("/api/v1/courses?limit=1").json_body
    finally:
        monkeypatch.undo()
        settings_module.settings.cache_clear()

    assert page["next"].startswith("https://api.school.example/v2/api/v1/courses/?")


def test_lasting_write_contention_is_429_with_retry_after(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.core.errors import WriteContention

    def fail(*arguments: object) -> None:
        raise WriteContention

    monkeypatch.setattr(Course, "find", fail)

    response = client.http.get("/api/v1/courses/0000000000000000")

    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
