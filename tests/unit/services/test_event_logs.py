"""The log lines of deferred work: operators find an email, a cleanup or a report by their fields."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.adapters import ses
from chalicelib.core.roles import Role
from chalicelib.models.enrollments import Enrollment
from chalicelib.observability import metrics
from chalicelib.services import cleanup, enrollments, reports, unsubscription
from tests.factories import create_course, create_user
from tests.unit.conftest import log_lines
from tests.unit.email_worker import send_email

DAY = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


@pytest.fixture
def enrollment(aws: None) -> Enrollment:
    return enrollments.enroll(create_user(Role.STUDENT), create_course(create_user(Role.INSTRUCTOR)).id)


def test_sent_email(enrollment: Enrollment, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ses, "send", lambda email: "of SES")

    send_email(enrollment.id)

    assert log_lines(caplog, "app.event") == [
        ("Email sent", {"kind": "enrollment", "email": enrollment.id, "message_id": "of SES"})
    ]


def test_skipped_email(aws: None, caplog: pytest.LogCaptureFixture) -> None:
    send_email("unknown")

    assert log_lines(caplog, "app.event") == [
        (
            "Email skipped",
            {"kind": "enrollment", "email": "unknown", "reason": "there is no such email or account"},
        )
    ]


def test_email_to_an_unsubscribed_student(
    enrollment: Enrollment, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsubscription, "wants", lambda user, kind: False)

    send_email(enrollment.id)

    assert log_lines(caplog, "app.event") == [
        (
            "Email skipped",
            {"kind": "enrollment", "email": enrollment.id, "reason": "its recipient has unsubscribed"},
        )
    ]


def test_cleanup_with_failed_steps(
    aws: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, int]] = []
    monkeypatch.setattr(metrics, "increment", lambda name, value=1: counted.append((name, value)))
    for name in ("CourseDeletionsRequeued", "InactiveStudentsQueued"):
        monkeypatch.setitem(cleanup.STEPS, name, lambda now: 1 / 0)
    monkeypatch.setitem(cleanup.STEPS, "UserDeletionsRequeued", lambda now: iter([2, 3]))

    with pytest.raises(cleanup.CleanupError, match=r"^CourseDeletionsRequeued, InactiveStudentsQueued$"):
        cleanup.run(DAY, lambda name, count: True)

    counts = {
        "CourseDeletionsRequeued": 0,
        "UserDeletionsRequeued": 5,
        "InactiveStudentsQueued": 0,
        "SettlementsRequested": 0,
        "AccountEmailsRequeued": 0,
        "EmailsRequeued": 0,
    }
    assert sorted(counted) == sorted(counts.items())
    assert log_lines(caplog, "app.event") == [("Cleanup finished", counts)]
    assert log_lines(caplog, "app.error") == [
        ("Cleanup step failed", {"step": "CourseDeletionsRequeued"}),
        ("Cleanup step failed", {"step": "InactiveStudentsQueued"}),
    ]


def test_cleanup_step_ends_when_time_is_up(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cleanup.STEPS, "UserDeletionsRequeued", lambda now: iter([2, 3, 4]))
    seen: list[tuple[str, int]] = []

    def should_continue(name: str, count: int) -> bool:
        seen.append((name, count))
        return count < 5

    assert cleanup.run(DAY, should_continue)["UserDeletionsRequeued"] == 5
    assert seen == [("UserDeletionsRequeued", 2), ("UserDeletionsRequeued", 5)]


def test_stored_reports(aws: None, caplog: pytest.LogCaptureFixture) -> None:
    create_user(Role.STUDENT, DAY)

    [*reports.generate_missing(DAY + timedelta(days=1))]

    numbers = {"courses": 0, "published_courses": 0, "users": 1, "enrollments": 0, "new_enrollments": 0, "new_users": 1}
    assert log_lines(caplog, "app.event") == [("Daily report stored", {"date": "2026-11-20"} | numbers)]
