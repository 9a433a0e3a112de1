"""The daily report as an email to the admins: the numbers of the day, and charts of a month.

Charts are table cells with a height: email programs show no scripts, and few show SVG.
"""

import html
from datetime import date, timedelta

from chalicelib.adapters import ses
from chalicelib.core import clock, resources
from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.reports import Report
from chalicelib.models.users import User
from chalicelib.services import email_rendering, email_requests

_DAYS = 30
_WEEK = 7
_CHART_PIXELS = 96
_LABELS = {
    "new_enrollments": "New enrollments",
    "new_users": "New users",
    "enrollments": "Enrollments",
    "users": "Users",
    "published_courses": "Published courses",
    "courses": "Courses",
}
# As many columns as a phone is wide.
_TABLE_GROUPS = {
    "Enrollments": {"new": "new_enrollments", "total": "enrollments"},
    "Users": {"new": "new_users", "total": "users"},
}
_ROW_LINE = "border-top:1px solid #d5dce4"
_TILE_GAP = '<td width="2%" style="width:2%;font-size:0">&nbsp;</td>'


def request(report: Report, run: str = "") -> int:
    """Request the email of a report for each active admin, and return how many there are.

    Repeated calls have no effect on those that were sent, unless with another ``run``.
    """
    admins = User.active_admins()
    for admin in admins:
        email = email_requests.create(admin.id, EmailKind.REPORT, email_id=f"{report.date}{run}")
        email.save()
        email_requests.queue(email)
    report.mark_emailed(clock.timestamp())
    return len(admins)


def date_of(email: AccountEmail) -> str:
    """Return the date of the report that an email is about."""
    return str(email.email_id)[: len("2026-01-01")]


def render(day: str, to: str, *, unsubscribe_url: str = "") -> ses.EmailMessage:
    """Return the report of a day as an email."""
    first = (date.fromisoformat(day) - timedelta(days=_DAYS - 1)).isoformat()
    return render_month(Report.between(first, day), to, unsubscribe_url=unsubscribe_url)


def render_month(month: list[Report], to: str, *, unsubscribe_url: str = "") -> ses.EmailMessage:
    """Return the report of the last of these days as an email. The other days are in its charts, oldest first."""
    today = month[-1]
    texts = {name: f"{number:,}" for name, number in today.numbers.items()} | {
        "day": today.date,
        "title": f"{date.fromisoformat(today.date):%A, %d %B %Y}",
        "lines": "\n".join(f"{label + ':':<20}{today.numbers[name]:>10,}" for name, label in _LABELS.items()),
    }
    parts = {
        "tiles": _TILE_GAP.join(_tile(name, month) for name in ("new_enrollments", "new_users")),
        "totals": "".join(_total(name, today.numbers[name]) for name in ("enrollments", "users", "published_courses")),
        "enrollments_chart": _chart("new_enrollments", "#2563eb", month),
        "users_chart": _chart("new_users", "#059669", month),
        "groups": "".join(_group_heading(group) for group in _TABLE_GROUPS),
        "columns": "".join(_column_heading(name) for group in _TABLE_GROUPS.values() for name in group),
        "rows": "".join(_row(report) for report in reversed(month[-_WEEK:])),
    }
    return email_rendering.render_parts(EmailKind.REPORT, to, texts, texts | parts, unsubscribe_url=unsubscribe_url)


def _tile(name: str, month: list[Report]) -> str:
    value, week_before = month[-1].numbers[name], [report.numbers[name] for report in month[-_WEEK - 1 : -1]]
    average = sum(week_before) / len(week_before) if week_before else None
    note = "the first day" if average is None else f"{average:,.1f} a day in the week before"
    return resources.template("report-tile.html").substitute(label=_LABELS[name], value=f"{value:,}", note=note)


def _total(name: str, value: int) -> str:
    return (
        f'<tr><td class="line" style="padding:8px 2px;{_ROW_LINE}">{_LABELS[name]} in total</td>'
        f'<td class="line" align="right" style="padding:8px 2px;{_ROW_LINE};font-weight:700">{value:,}</td></tr>'
    )


def _chart(name: str, color: str, month: list[Report]) -> str:
    values = [report.numbers[name] for report in month]
    highest = max(*values, 1)
    bars = "".join(_bar(report, value, highest, color) for report, value in zip(month, values, strict=True))
    days = {"days": len(month), "first": month[0].date, "last": month[-1].date}
    parts = days | {"label": _LABELS[name], "highest": f"{highest:,}", "bars": bars}
    return resources.template("report-chart.html").substitute(parts)


def _bar(report: Report, value: int, highest: int, color: str) -> str:
    """Return a bar as a line of text with a background: Outlook ignores the height of other elements in a cell."""
    pixels = max(round(_CHART_PIXELS * value / highest), 1)
    title = html.escape(f"{report.date}: {value:,}")
    return (
        f'<td title="{title}"><div style="background:{color};line-height:{pixels}px;mso-line-height-rule:exactly">'
        "&nbsp;</div></td>"
    )


def _group_heading(group: str) -> str:
    columns = len(_TABLE_GROUPS[group])
    return f'<th scope="colgroup" colspan="{columns}" align="right" style="padding:4px 2px">{group}</th>'


def _column_heading(name: str) -> str:
    return f'<th scope="col" align="right" style="padding:4px 2px;font-weight:400">{name}</th>'


def _row(report: Report) -> str:
    names = [name for group in _TABLE_GROUPS.values() for name in group.values()]
    cells = "".join(
        f'<td class="line" align="right" style="padding:6px 2px;{_ROW_LINE}">{report.numbers[name]:,}</td>'
        for name in names
    )
    day = f'<td class="line" align="left" style="padding:6px 2px;{_ROW_LINE};white-space:nowrap">{report.date}</td>'
    return f"<tr>{day}{cells}</tr>"
