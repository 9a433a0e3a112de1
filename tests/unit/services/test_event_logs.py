"""The log lines of deferred work and of accounts: operators find them by their fields."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.adapters import ses
from chalicelib.core.errors import InvalidInput
from chalicelib.core.roles import Role
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.tickets import TicketKind
from chalicelib.models.users import User
from chalicelib.observability import metrics
from chalicelib.security import signing_keys
from chalicelib.services import account_recovery, cleanup, enrollments, reports, tickets
from tests.factories import create_course, create_user
from tests.unit.conftest import log_lines
from tests.unit.email_worker import send_email

DAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
ADDRESS = "192.0.2.7"


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


def test_cleanup_with_failed_steps(
    aws: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: dict[str, int] = {}
    monkeypatch.setattr(metrics, "increment", lambda name, value=1: counted.update({name: value}))
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
    assert counted == counts
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


def account_events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of accounts."""
    return log_lines(caplog, "app.audit")


def test_requested_password_reset(aws: None, caplog: pytest.LogCaptureFixture) -> None:
    """An unknown name is not logged: people enter their password as the name."""
    student, unknown = create_user(Role.STUDENT), "Unknown"
    caplog.clear()

    for name in (student.username, unknown):
        account_recovery.request_password_reset(name, ADDRESS)

    event = {"event": "password.reset_requested", "address": ADDRESS}
    assert account_events(caplog) == [
        ("Password reset requested", event | {"user_id": student.id, "name_hmac": None}),
        ("Password reset requested", event | {"user_id": None, "name_hmac": signing_keys.keyed_hash("unknown")}),
    ]


@pytest.mark.parametrize("kind", TicketKind)
def test_used_and_refused_ticket(aws: None, caplog: pytest.LogCaptureFixture, kind: TicketKind) -> None:
    student = User.find(create_user(Role.STUDENT).id)
    assert student is not None
    token = tickets.issue_link(kind, student).partition("=")[2]
    use: Callable[[], None] = {
        TicketKind.RESET: lambda: account_recovery.reset_password(token, "jackdaws love my sphinx", ADDRESS),
        TicketKind.VERIFY: lambda: account_recovery.verify_email(token, ADDRESS),
    }[kind]
    caplog.clear()

    use()
    with pytest.raises(InvalidInput) as refused:
        use()

    [field] = refused.value.fields
    assert (field.field, field.code) == ("token", "invalid_token")
    assert field.message == "The link is invalid, was used before or has expired."
    message, event = {
        TicketKind.RESET: ("Password reset", "password.reset"),
        TicketKind.VERIFY: ("Email address verified", "email.verified"),
    }[kind]
    assert account_events(caplog) == [
        (message, {"event": event, "user_id": student.id, "address": ADDRESS}),
        ("Ticket refused", {"event": "ticket.refused", "kind": kind.value, "address": ADDRESS}),
    ]
    assert token not in caplog.text
