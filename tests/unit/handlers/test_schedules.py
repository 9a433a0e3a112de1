"""The scheduled functions: they end before Lambda kills them."""

from collections.abc import Callable, Iterator
from datetime import datetime
from types import SimpleNamespace

import pytest

from chalicelib.handlers.workers.cleanup import cleanup as run_cleanup
from chalicelib.handlers.workers.daily_report import daily_report
from chalicelib.models.reports import Report
from chalicelib.observability import metrics
from chalicelib.services import cleanup, reports


def run(seconds_left: int) -> dict[str, int]:
    context = SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: 1000 * seconds_left)
    names = ("version", "account", "region", "detail", "detail-type", "source", "time", "id", "resources")
    counts: dict[str, int] = run_cleanup(dict.fromkeys(names), context)
    return counts


@pytest.mark.parametrize(("seconds_left", "messages"), [(31, 6), (30, 1), (20, 1)])
def test_cleanup_ends_half_a_minute_before_its_time(
    aws: None, monkeypatch: pytest.MonkeyPatch, seconds_left: int, messages: int
) -> None:
    monkeypatch.setitem(cleanup.STEPS, "EmailsRequeued", lambda now: iter([1, 2, 3]))
    flushed: list[bool] = []
    monkeypatch.setattr(metrics, "flush", lambda: flushed.append(True))

    assert run(seconds_left)["EmailsRequeued"] == messages
    assert flushed == [True]


def test_metrics_of_a_failed_cleanup_are_written(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cleanup.STEPS, "EmailsRequeued", lambda now: 1 / 0)
    flushed: list[bool] = []
    monkeypatch.setattr(metrics, "flush", lambda: flushed.append(True))

    with pytest.raises(cleanup.CleanupError):
        run(60)
    assert flushed == [True]


def test_report_run_ends_half_a_minute_before_its_time(
    aws: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def generate(now: datetime, should_continue: Callable[[], bool]) -> Iterator[Report]:
        yield Report("daily", "2026-11-21")
        if not should_continue():
            raise reports.OutOfTimeError("2026-11-22")
        yield Report("daily", "2026-11-22")

    monkeypatch.setattr(reports, "generate_missing", generate)
    names = ("version", "account", "region", "detail", "detail-type", "source", "time", "id", "resources")

    def run(seconds_left: int) -> dict[str, list[str]]:
        context = SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: 1000 * seconds_left)
        stored: dict[str, list[str]] = daily_report(dict.fromkeys(names), context)
        return stored

    assert run(31) == {"stored": ["2026-11-21", "2026-11-22"]}
    assert run(30) == {"stored": ["2026-11-21"]}
    [line] = [record for record in caplog.records if record.name == "app.event"]
    assert (line.message, line.extra) == (  # type: ignore[attr-defined]
        "The next run continues with this day's report",
        {"date": "2026-11-22"},
    )
