"""The numbers in the email of a daily report, for 40 known days."""

import re
from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib.models.reports import DAILY, NUMBERS, Report
from chalicelib.services import report_emails

LAST = date(2026, 11, 22)
DAYS = [LAST - timedelta(days=back) for back in range(39, -1, -1)]


def report(number: int, day: date) -> Report:
    numbers: Any = {
        "new_enrollments": number * 10,
        "new_users": 0,
        "enrollments": 1000 + number,
        "users": 2000 + number,
        "published_courses": 3000 + number,
        "courses": 4000 + number,
    }
    return Report(DAILY, day.isoformat(), **numbers)


@pytest.fixture
def page(aws: None) -> str:
    """The email's HTML, without spaces between tags."""
    for number, day in enumerate(DAYS, start=1):
        report(number, day).save()
    return re.sub(r">\s+<", "><", report_emails.render("2026-11-22", "ada@example.org").html)


def test_text_has_the_numbers_of_the_day(page: str) -> None:
    email = report_emails.render("2026-11-22", "ada@example.org")

    assert (email.to, email.subject) == ("ada@example.org", "EduFlow: 400 new enrollments on 2026-11-22")
    assert email.text.splitlines()[4] == "Sunday, 22 November 2026 (UTC)"
    assert re.findall(r"^(\w[\w ]+): +([\d,]+)$", email.text, re.MULTILINE) == [
        ("New enrollments", "400"),
        ("New users", "0"),
        ("Enrollments", "1,040"),
        ("Users", "2,040"),
        ("Published courses", "3,040"),
        ("Courses", "4,040"),
    ]


def test_tiles_compare_the_day_with_the_seven_days_before(page: str) -> None:
    tiles = re.findall(r'13px[^>]*>([^<]*)</div><div style="font-size:28px[^>]*>([^<]*)</div><div[^>]*>([^<]*)<', page)

    assert tiles == [
        ("New enrollments", "400", "360.0 a day in the week before"),  # of the numbers 33 to 39
        ("New users", "0", "0.0 a day in the week before"),
    ]


def test_totals_are_those_of_the_day(page: str) -> None:
    assert re.findall(r">([\w ]+) in total</td><td[^>]*>([\d,]+)<", page) == [
        ("Enrollments", "1,040"),
        ("Users", "2,040"),
        ("Published courses", "3,040"),
    ]


def test_charts_have_30_days_in_proportion(page: str) -> None:
    bars = re.findall(r'title="([\d-]+): ([\d,]+)"[^>]*><div style="background:(#\w+);line-height:(\d+)px;', page)

    assert [bar[0] for bar in bars] == [day.isoformat() for day in DAYS[10:]] * 2
    enrollments, users = bars[:30], bars[30:]
    assert [int(bar[1].replace(",", "")) for bar in enrollments] == [*range(110, 401, 10)]
    assert [int(bar[3]) for bar in enrollments] == [round(96 * number / 40) for number in range(11, 41)]
    assert {bar[1:] for bar in users} == {("0", "#059669", "1")}
    assert {bar[2] for bar in enrollments} == {"#2563eb"}
    assert re.findall(r"in (\d+) days, at most ([\d,]+)", page) == [("30", "400"), ("30", "1")]
    assert (
        re.findall(r"<td>([\d-]{10})</td><td align=\"right\">([\d-]{10})</td>", page)
        == [("2026-10-24", "2026-11-22")] * 2
    )


def test_table_has_the_last_seven_days(page: str) -> None:
    rows = re.findall(r'nowrap">([\d-]+)</td>((?:<td [^>]*>[\d,]+</td>)+)</tr>', page)

    assert [day for day, _ in rows] == [(LAST - timedelta(days=back)).isoformat() for back in range(7)]
    assert re.findall(r">([\d,]+)<", rows[1][1]) == ["390", "1,039", "0", "2,039"]
    headings = re.findall(r"<th [^>]*>([^<]+)</th>", page)
    assert headings == ["Day (UTC)", "Enrollments", "Users", "new", "total", "new", "total"]


def test_first_day_has_nothing_to_compare_with(aws: None) -> None:
    report(1, LAST).save()

    page = report_emails.render("2026-11-22", "ada@example.org").html

    assert page.count("the first day") == 2
    assert "in 1 days, at most 10" in page


def test_report_has_the_unsubscribe_link_of_its_recipient(page: str) -> None:
    url = "https://api.example.org/unsubscribe/?token=x&y"

    email = report_emails.render("2026-11-22", "ada@example.org", unsubscribe_url=url)

    assert email.unsubscribe_url == url
    assert email.text.splitlines()[-1] == url
    assert 'href="https://api.example.org/unsubscribe/?token=x&amp;y"' in email.html
    assert "nsubscribe" not in page


def test_largest_report_is_not_clipped(aws: None) -> None:
    for number, day in enumerate(DAYS):
        numbers: Any = dict.fromkeys(NUMBERS, 999_999_000 + number)
        Report(DAILY, day.isoformat(), **numbers).save()

    assert len(report_emails.render("2026-11-22", "ada@example.org").html.encode()) < 20_000
