"""Emails with sample values, as an operator or a developer looks at them. It needs neither AWS nor a stage."""

import math
from datetime import date, timedelta

from chalicelib.adapters import ses
from chalicelib.core.email_kinds import PREFERENCE_OF, EmailKind
from chalicelib.models.reports import DAILY, Report
from chalicelib.services import email_rendering, report_emails

RECIPIENT = "ada@example.org"
_SENDER = "eduflow@example.org"
_TOKEN = "example" * 6  # as long as a token
_PAGE = "https://api.example.org/dev/api/account/"
_UNSUBSCRIBE_URL = f"https://api.example.org/dev/api/v1/notifications/unsubscribe/?token={_TOKEN}"
_LAST_DAY = date(2026, 11, 22)
_DAYS = 30

SAMPLE_VALUES = {
    EmailKind.ENROLLMENT: {"student": "ada", "course": "Linear algebra: vectors & matrices", "owner": "grace.h"},
    EmailKind.PLACE_AVAILABLE: {"student": "ada", "course": "Linear algebra: vectors & matrices", "owner": "grace.h"},
    EmailKind.VERIFICATION: {"username": "ada", "link": f"{_PAGE}#verify={_TOKEN}"},
    EmailKind.PASSWORD_RESET: {"username": "ada", "link": f"{_PAGE}#reset={_TOKEN}"},
    EmailKind.PASSWORD_CHANGED: {"username": "ada", "link": f"{_PAGE}#forgot"},
    EmailKind.EMAIL_CHANGED: {"username": "ada"},
}


def create_sample(kind: EmailKind) -> ses.EmailMessage:
    """Return the email of a kind with sample values."""
    url = _UNSUBSCRIBE_URL if kind in PREFERENCE_OF else ""
    if kind is EmailKind.REPORT:
        return report_emails.render_month(_sample_reports(), RECIPIENT, unsubscribe_url=url)
    return email_rendering.render(kind, RECIPIENT, SAMPLE_VALUES[kind], unsubscribe_url=url)


def render_sample(kind: EmailKind, part: str | None = None) -> bytes:
    """Return the ``html`` or ``text`` part of such an email, or all of it as a file that email programs open."""
    email = create_sample(kind)
    return ses.message_bytes(email, _SENDER) if part is None else str(getattr(email, part)).encode()


def _sample_reports() -> list[Report]:
    """Return the reports of a month in which a school with 40,000 users grows, with a rhythm of a week."""
    reports = []
    for number in range(_DAYS):
        rhythm = 1 + 0.4 * math.sin(2 * math.pi * number / 7)
        reports.append(
            Report(
                DAILY,
                (_LAST_DAY - timedelta(days=_DAYS - 1 - number)).isoformat(),
                courses=1_240 + number,
                published_courses=1_105 + number,
                users=40_000 + 210 * number,
                enrollments=112_000 + 640 * number,
                new_enrollments=round((560 + 6 * number) * rhythm),
                new_users=round((190 + number) * rhythm),
            )
        )
    return reports
