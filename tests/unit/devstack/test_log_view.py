"""The log of `make run` at a terminal."""

import io
import json
import re
from typing import Any

import pytest

from devstack import log_view
from devstack.log_view import render

LINE = {"timestamp": "2026-11-25T16:05:05.230668Z", "level": "INFO", "request_id": "0a0afa62-c267-4379", "extra": {}}


def shown(**fields: Any) -> str:
    return re.sub(r"\x1b\[\d+m", "", render(json.dumps(LINE | fields)))


def test_request_is_one_short_line() -> None:
    extra = {"method": "GET", "path": "/api/health/", "status": 200, "user_id": None, "duration_ms": 6.7}

    line = shown(message="GET /api/health/ 200", extra=extra)

    assert re.fullmatch(r"\d\d:05:05 GET /api/health/ 200 7 ms 0a0afa62", line)


def test_error_shows_fields_and_stack_trace() -> None:
    trace = 'Traceback (most recent call last):\n  File "app.py", line 1'

    line = shown(message="Unhandled exception", level="ERROR", extra={"path": "/x/"}, stack_trace=trace)

    assert line.endswith(f"Unhandled exception path=/x/ 0a0afa62\n{trace}")


def test_other_output_is_not_changed() -> None:
    assert render("[Errno 98] Address already in use\n") == "[Errno 98] Address already in use"
    assert render('{"timestamp": 5}\n') == '{"timestamp": 5}'
    assert render("5\n") == "5"


def test_text_of_a_401_is_not_shown_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = "chalicelib.observability.logs.HandledError: Unauthorized\nanother line\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))

    log_view.main()

    assert capsys.readouterr().out == "another line\n"
