from datetime import UTC, date, datetime, timedelta

import pytest

from chalicelib.core.errors import InvalidInput
from chalicelib.core.roles import Role
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.reports import DAILY, Report
from chalicelib.services import enrollments, reports
from tests.factories import create_course, create_user, remove_enrollment

FIRST = datetime(2026, 10, 30, 12, tzinfo=UTC)
"""Its third day is in the next month."""


@pytest.fixture
def three_days(aws: None) -> datetime:
    """The first three days of a school; returns the time after them."""
    for day in range(3):
        now = FIRST + timedelta(days=day)
        student, teacher = create_user(Role.STUDENT, now), create_user(Role.INSTRUCTOR, now)
        course = create_course(teacher, now)
        create_course(teacher, now, is_published=False)
        if day:
            enrollments.enroll(student, course.id, now)
    return FIRST + timedelta(days=2, hours=13, minutes=30)


def stored() -> dict[str, dict[str, int]]:
    return {report.date: report.numbers for report in Report.query(DAILY)}


def test_every_completed_day_gets_a_report(three_days: datetime) -> None:
    dates = [report.date for report in reports.generate_missing(three_days)]

    assert dates == ["2026-10-30", "2026-10-31", "2026-11-01"]
    assert [*stored()["2026-11-01"].values()] == [6, 3, 6, 2, 1, 2]
    assert stored()["2026-10-30"]["new_enrollments"] == 0


def test_second_report_run_changes_nothing(three_days: datetime) -> None:
    [*reports.generate_missing(three_days)]
    before = stored()

    assert [*reports.generate_missing(three_days)] == []
    [*reports.regenerate_from(date(2026, 10, 31), three_days)]
    assert stored() == before


def test_missing_days_are_generated_later(three_days: datetime) -> None:
    [*reports.generate_missing(FIRST + timedelta(hours=13))]

    assert [report.date for report in reports.generate_missing(three_days)] == ["2026-10-31", "2026-11-01"]


def test_regenerated_day_follows_the_missing_ones(three_days: datetime) -> None:
    [*reports.regenerate_from(date(2026, 11, 1), three_days)]

    assert [*stored()] == ["2026-10-30", "2026-10-31", "2026-11-01"]


def test_current_day_has_no_report(three_days: datetime) -> None:
    with pytest.raises(InvalidInput):
        [*reports.regenerate_from(three_days.date(), three_days)]


def test_report_before_the_first_account_is_refused(three_days: datetime) -> None:
    with pytest.raises(InvalidInput) as refused:
        [*reports.regenerate_from(date(2019, 1, 1), three_days)]

    assert "2026-10-30" in refused.value.fields[0].message
    assert stored() == {}


def test_stage_without_users_has_no_report(aws: None) -> None:
    assert [*reports.generate_missing(FIRST)] == []


def test_deletion_reduces_totals_and_keeps_new_counts(three_days: datetime) -> None:
    before = {report.date: report.numbers for report in reports.generate_missing(three_days)}
    [enrollment, *_] = Enrollment.scan()
    remove_enrollment(enrollment)  # today, long after those days

    [*reports.regenerate_from(date(2026, 10, 30), three_days)]

    assert stored() == before
    assert [*stored()["2026-11-01"].values()][3:5] == [2, 1]


def test_deleted_entity_in_a_lagging_index_is_counted_once(
    three_days: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {report.date: report.numbers for report in reports.generate_missing(three_days)}
    shown = {day: Enrollment.ids_created(f"{day}T00", f"{day}T23:59:59.999999Z") for day in before}
    for enrollment in Enrollment.scan():
        remove_enrollment(enrollment)

    monkeypatch.setattr(Enrollment, "ids_created", lambda first, last: shown[first[:10]])
    [*reports.regenerate_from(date(2026, 10, 30), three_days)]

    assert stored() == before


def test_day_is_completed_an_hour_after_midnight(three_days: datetime) -> None:
    midnight = datetime(2026, 11, 2, tzinfo=UTC)

    assert [report.date for report in reports.generate_missing(midnight + timedelta(minutes=59))][-1] == "2026-10-31"
    assert [report.date for report in reports.generate_missing(midnight + timedelta(minutes=61))] == ["2026-11-01"]
