"""The log of a request: one access line with the caller, and one error line if it failed."""

import pytest

from chalicelib.core.errors import Conflict
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.services import courses
from tests.factories import create_course, create_user
from tests.unit.conftest import log_lines
from tests.unit.handlers.conftest import ApiClient


def test_failures_of_endpoints_are_logged(
    http: ApiClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    owner = create_user(Role.INSTRUCTOR)
    course = create_course(owner)

    def fails(*_: object) -> None:
        raise Conflict("Too late.")

    monkeypatch.setattr(courses, "delete", fails)
    http.call("DELETE", f"/courses/{course.id}/", owner)
    [(_, access)] = log_lines(caplog, "app.access")
    assert (access["method"], access["status"], access["user_id"]) == ("DELETE", 409, owner.id)
    assert access["path"] == f"/api/v1/courses/{course.id}/"
    assert log_lines(caplog, "app.error") == [("Too late.", {"status": 409, "error": "Conflict"})]

    caplog.clear()
    monkeypatch.setattr(Course, "find", lambda _: 1 / 0)
    assert http.call("GET", f"/courses/{course.id}/").status == 500
    assert log_lines(caplog, "app.error") == [("Unhandled exception", {"status": 500})]
    [(_, access)] = log_lines(caplog, "app.access")
    assert (access["status"], access["user_id"]) == (500, None)
