"""The daily report as an email to the admins: the numbers of the day, and charts of a month.

Charts are table cells with a height: email programs show no scripts, and few show SVG.
"""

import html
from datetime import date, datetime, timedelta

from chalicelib.adapters import ses
from chalicelib.core import clock, resources
from chalicelib.models.reports import Report
from chalicelib.models.users import User

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
_TABLE_COLUMNS = ("new_enrollments", "new_users", "enrollments", "users")  # as many as a phone is wide


def pending() -> tuple[Report, list[User]] | None:
    """Return the latest report and its recipients, or None if it was sent or does not exist."""
    latest = Report.latest(date.max.isoformat())
    return (latest, User.active_admins()) if latest and not latest.emailed_at else None


def send(day: str, to: str) -> None:
    """Send the report of a day to an address."""
    ses.send(render(day, to))


def mark_sent(report: Report, now: datetime) -> None:
    """Record that all admins received a report."""
    report.mark_emailed(clock.format_timestamp(now))


def render(day: str, to: str) -> ses.EmailMessage:
    """Return the report of a day as an email."""
    first = (date.fromisoformat(day) - timedelta(days=_DAYS - 1)).isoformat()
    month = Report.between(first, day)
    today = month[-1].numbers
    title = f"{date.fromisoformat(day):%A, %d %B %Y}"
    parts = {
        "title": title,
        "tiles": "".join(_tile(name, month) for name in ("new_enrollments", "new_users")),
        "totals": "".join(_total(name, today[name]) for name in ("enrollments", "users", "published_courses")),
        "enrollments_chart": _chart("new_enrollments", "#2563eb", month),
        "users_chart": _chart("new_users", "#059669", month),
        "rows": "".join(_row(report) for report in reversed(month[-_WEEK:])),
        "header": "".join(
            f'<th align="right" style="padding:6px 4px">{label}</th>' for label in map(_COLUMNS.get, _TABLE_COLUMNS)
        ),
    }
    lines = "\n".join(f"{label + ':':<20}{today[name]:>10,}" for name, label in _COLUMNS.items())
    return ses.EmailMessage(
        to=to,
        subject=f"EduFlow: {today['new_enrollments']:,} new enrollments on {day}",
        text=resources.template("report.txt").substitute(title=title, lines=lines),
        html=resources.template("report.html").substitute(parts),
    )


def _tile(name: str, month: list[Report]) -> str:
    value, week_before = month[-1].numbers[name], [report.numbers[name] for report in month[-_WEEK - 1 : -1]]
    average = sum(week_before) / len(week_before) if week_before else None
    note = "the first day" if average is None else f"{average:,.1f} a day in the week before"
    return _render_tile(name, value, note)


def _total(name: str, value: int) -> str:
    return _render_tile(name, value, "in total")


def _render_tile(name: str, value: int, note: str) -> str:
    return resources.template("report-tile.html").substitute(label=_COLUMNS[name], value=f"{value:,}", note=note)


def _chart(name: str, color: str, month: list[Report]) -> str:
    values = [report.numbers[name] for report in month]
    highest = max(*values, 1)
    bars = "".join(_bar(report, value, highest, color) for report, value in zip(month, values, strict=True))
    days = {"days": len(month), "first": month[0].date, "last": month[-1].date}
    parts = days | {"label": _COLUMNS[name], "highest": f"{highest:,}", "bars": bars}
    return resources.template("report-chart.html").substitute(parts)


def _bar(report: Report, value: int, highest: int, color: str) -> str:
    pixels = max(round(_CHART_PIXELS * value / highest), 1)
    title = html.escape(f"{report.date}: {value:,}")
    return (
        f'<td valign="bottom" title="{title}" style="padding:0 1px;height:{_CHART_PIXELS}px">'
        f'<div style="height:{pixels}px;background:{color};border-radius:2px 2px 0 0;font-size:0">&nbsp;</div></td>'
    )


def _row(report: Report) -> str:
    cells = "".join(
        f'<td align="right" style="padding:6px 4px">{report.numbers[name]:,}</td>' for name in _TABLE_COLUMNS
    )
    day = f'<td style="padding:6px 4px;white-space:nowrap">{report.date}</td>'
    return f'<tr style="border-top:1px solid #e5e7eb">{day}{cells}</tr>'
