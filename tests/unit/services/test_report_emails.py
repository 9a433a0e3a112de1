"""The daily report by mail: once for each admin, whatever fails in between."""

import argparse
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from chalicelib.adapters import ses
from chalicelib.core import clock
from chalicelib.core.config import settings
from chalicelib.core.retry_policy import EMAIL_REQUEUE_AFTER
from chalicelib.core.roles import Role
from chalicelib.handlers.workers.daily_report import daily_report
from chalicelib.models.reports import Report
from chalicelib.models.users import User
from chalicelib.services import cleanup, enrollments, report_emails, reports, users
from ops import commands
from tests.factories import create_course, create_user
from tests.unit.email_worker import deliver_all

NOW = datetime.now(UTC)


class Box:
    """The emails that were sent; addresses that it refuses."""

    def __init__(self) -> None:
        self.emails: list[ses.EmailMessage] = []
        self.refused: set[str] = set()

    def send(self, mail: ses.EmailMessage) -> str:
        if mail.to in self.refused:
            raise RuntimeError("refused")
        self.emails.append(mail)
        return "id"

    @property
    def to(self) -> Counter[str]:
        return Counter(mail.to for mail in self.emails)


@pytest.fixture
def box(aws: None, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A school of three days with three admins, one of them inactive, and emails switched on."""
    box = Box()
    monkeypatch.setattr(ses, "send", box.send)
    monkeypatch.setitem(settings().__dict__, "email_reports", True)
    for name in ("ada", "bob", "eve"):
        admin = create_user(Role.ADMIN, name=name)
    users.apply_changes(admin.id, {"is_active": False})
    for day in (3, 2):
        then = NOW - timedelta(days=day)
        enrollments.enroll(
            create_user(Role.STUDENT, then), create_course(create_user(Role.INSTRUCTOR, then), then).id, then
        )
    deliver_all()
    box.emails.clear()
    return box


def hourly() -> None:
    context = SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: 60_000)
    event = dict.fromkeys(
        ("version", "account", "region", "detail", "detail-type", "source", "time", "id", "resources")
    )
    daily_report(event, context)
    deliver_all()


def test_active_admins_receive_the_latest_report_once(box: Box) -> None:
    for _ in range(3):
        hourly()

    assert box.to == {"ada@example.org": 1, "bob@example.org": 1}
    newest = Report.latest("9999")
    assert newest is not None and newest.emailed_at
    assert newest.date in box.emails[0].subject


def test_failed_report_email_stops_no_other_and_stays_pending(box: Box) -> None:
    box.refused = {"ada@example.org"}
    hourly()
    assert box.to == {"bob@example.org": 1}

    box.refused = set()
    cleanup.run(clock.now() + EMAIL_REQUEUE_AFTER * 2, lambda *_: True)
    deliver_all()
    assert box.to == {"ada@example.org": 1, "bob@example.org": 1}


def test_former_admin_gets_no_report(box: Box) -> None:
    box.refused = {"ada@example.org", "bob@example.org"}
    hourly()
    ada = next(admin for admin in User.active_admins() if admin.username == "ada")
    users.apply_changes(ada.id, {"role": Role.INSTRUCTOR})

    box.refused = set()
    cleanup.run(clock.now() + EMAIL_REQUEUE_AFTER * 2, lambda *_: True)
    deliver_all()
    assert box.to == {"bob@example.org": 1}


def test_report_is_emailed_only_if_enabled(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "email_reports", False)

    hourly()

    assert box.emails == []


def test_report_email_has_numbers_and_a_bar_per_day(box: Box) -> None:
    [*reports.generate_missing(NOW)]
    then = NOW - timedelta(days=2)
    day = clock.format_timestamp(then)[:10]

    mail = report_emails.render(day, "ada@example.org")

    assert f"1 new enrollments on {day}" in mail.subject
    assert f"{then:%A, %d %B %Y}" in mail.html
    assert mail.html.count(f'title="{day}: 1"') == 1
    assert mail.html.count('title="') == 2 * 2
    assert "New enrollments:             1\n" in mail.text


def test_operator_sends_the_latest_report_again(box: Box) -> None:
    options = argparse.Namespace(date=None, email=True)

    commands.daily_report(options)
    commands.daily_report(options)
    deliver_all()

    assert box.to == {"ada@example.org": 2, "bob@example.org": 2}


def test_table_is_as_wide_as_a_phone(box: Box) -> None:
    [*reports.generate_missing(NOW)]
    latest = Report.latest("9999-12-31")
    assert latest is not None

    mail = report_emails.render(latest.date, "ada@example.org")

    row = mail.html.rpartition(f">{latest.date}</td>")[2].partition("</tr>")[0]
    assert row.count("<td ") == 4
    assert f'white-space:nowrap">{latest.date}' in mail.html
