"""The daily report as a mail to the admins: the day's numbers, and a month of them as charts.

Charts are table cells with a height: no mail program shows scripts, and few show SVG.
"""

import html
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from chalicelib.adapters import ses
from chalicelib.core import clock, resources
from chalicelib.models.reports import DAILY, Report
from chalicelib.models.users import User
from chalicelib.services.reports import numbers

_DAYS = 30
_WEEK = 7
_CHART_PIXELS = 96
_COLUMNS = {
    "new_enrollments": "New enrollments",
    "new_users": "New users",
    "enrollments": "Enrollments",
    "users": "Users",
    "published_courses": "Published courses",
    "courses": "Courses",
}


def due() -> tuple[Report, list[User]] | None:
    """The newest report and the admins who are to get it; None if they have it, or there is none."""
    newest = Report.latest(date.max.isoformat())
    return (newest, User.active_admins()) if newest and not newest.mailed_at else None


def send(day: str, to: str) -> None:
    """Send the report of a day to an address."""
    ses.send(mail(day, to))


def note_sent(report: Report, now: datetime) -> None:
    """Note that all admins have a report."""
    report.note_mailed(clock.rfc3339(now))


def mail(day: str, to: str) -> ses.Mail:
    """The report of a day, as text and as a page."""
    first = (date.fromisoformat(day) - timedelta(days=_DAYS - 1)).isoformat()
    month = [*Report.query(DAILY, Report.date.between(first, day), consistent_read=True)]
    today = numbers(month[-1])
    title = f"{date.fromisoformat(day):%A, %d %B %Y}"
    page = {
        "title": title,
        "tiles": "".join(_tile(name, month) for name in ("new_enrollments", "new_users")),
        "totals": "".join(_total(name, today[name]) for name in ("enrollments", "users", "published_courses")),
        "enrollments_chart": _chart("new_enrollments", "#2563eb", month),
        "users_chart": _chart("new_users", "#059669", month),
        "rows": "".join(_row(report) for report in reversed(month[-_WEEK:])),
        "header": "".join(f'<th align="right" style="padding:6px 4px">{label}</th>' for label in _COLUMNS.values()),
    }
    lines = "\n".join(f"{label + ':':<20}{today[name]:>10,}" for name, label in _COLUMNS.items())
    return ses.Mail(
        to=to,
        subject=f"EduFlow: {today['new_enrollments']:,} new enrollments on {day}",
        text=resources.template("report.txt").substitute(title=title, lines=lines),
        html=resources.template("report.html").substitute(page),
    )


def _tile(name: str, month: list[Report]) -> str:
    value, before = numbers(month[-1])[name], [numbers(report)[name] for report in month[-_WEEK - 1 : -1]]
    usual = sum(before) / len(before) if before else None
    beside = "the first day" if usual is None else f"{usual:,.1f} a day in the week before"
    return resources.template("report-tile.html").substitute(label=_COLUMNS[name], value=f"{value:,}", beside=beside)


def _total(name: str, value: int) -> str:
    return resources.template("report-tile.html").substitute(label=_COLUMNS[name], value=f"{value:,}", beside="in all")


def _chart(name: str, color: str, month: list[Report]) -> str:
    values = [numbers(report)[name] for report in month]
    highest = max(*values, 1)
    bars = "".join(_bar(report, value, highest, color) for report, value in zip(month, values, strict=True))
    days = {"days": len(month), "first": month[0].date, "last": month[-1].date}
    return resources.template("report-chart.html").substitute(
        days, label=_COLUMNS[name], highest=f"{highest:,}", bars=bars
    )


def _bar(report: Report, value: int, highest: int, color: str) -> str:
    pixels = max(round(_CHART_PIXELS * value / highest), 1)
    title = html.escape(f"{report.date}: {value:,}")
    return (
        f'<td valign="bottom" title="{title}" style="padding:0 1px;height:{_CHART_PIXELS}px">'
        f'<div style="height:{pixels}px;background:{color};border-radius:2px 2px 0 0;font-size:0">&nbsp;</div></td>'
    )


def _row(report: Report) -> str:
    values: Iterator[int] = (numbers(report)[name] for name in _COLUMNS)
    cells = "".join(f'<td align="right" style="padding:6px 4px">{value:,}</td>' for value in values)
    return f'<tr style="border-top:1px solid #e5e7eb"><td style="padding:6px 4px">{report.date}</td>{cells}</tr>'
