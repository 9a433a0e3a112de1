import contextlib
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core import clock
from chalicelib.core.errors import InvalidInput
from chalicelib.core.roles import Role
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.ledger import LedgerEntry
from chalicelib.models.reports import DAILY, NUMBERS, PartialCount, Report
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
    shown = {day: [*Enrollment.created_between(f"{day}T00", f"{day}T23:59:59.999999Z")] for day in before}
    for enrollment in Enrollment.scan():
        remove_enrollment(enrollment)

    monkeypatch.setattr(Enrollment, "created_between", lambda first, last: iter(shown[first[:10]]))
    [*reports.regenerate_from(date(2026, 10, 30), three_days)]

    assert stored() == before


def test_day_is_completed_an_hour_after_midnight(three_days: datetime) -> None:
    midnight = datetime(2026, 11, 2, tzinfo=UTC)

    assert [report.date for report in reports.generate_missing(midnight + timedelta(minutes=59))][-1] == "2026-10-31"
    assert [report.date for report in reports.generate_missing(midnight + timedelta(minutes=61))] == ["2026-11-01"]


def test_gap_is_filled_and_later_totals_are_corrected(three_days: datetime) -> None:
    [*reports.generate_missing(three_days)]
    right = stored()
    Report(DAILY, "2026-10-31").delete()
    wrong: Any = dict.fromkeys(NUMBERS, 0)
    Report(DAILY, "2026-11-01", **wrong).save()  # computed without it

    dates = [report.date for report in reports.generate_missing(three_days)]

    assert dates == ["2026-10-31", "2026-11-01"]
    assert stored() == right


def test_gap_at_the_begin_of_the_window_is_filled(three_days: datetime) -> None:
    later = three_days + timedelta(days=40)
    last = later.date() - timedelta(days=1)
    [*reports.generate_missing(three_days)]
    numbers: Any = stored()["2026-11-01"] | {"new_users": 0, "new_enrollments": 0}
    for days in range(38):  # without events
        Report(DAILY, str(last - timedelta(days=days)), computed_at=clock.format_timestamp(later), **numbers).save()
    right = stored()
    for days in (35, 34, 33):
        Report(DAILY, str(last - timedelta(days=days))).delete()

    assert len([*reports.generate_missing(later)]) == 3
    assert stored() == right


def test_reports_of_a_schedule_that_was_off_for_long_are_stored(three_days: datetime) -> None:
    [*reports.generate_missing(three_days)]

    assert len([*reports.generate_missing(three_days + timedelta(days=40))]) == 40


def test_late_index_is_counted_a_day_later(three_days: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    right = {report.date: report.numbers for report in reports.generate_missing(three_days)}
    for day in right:
        Report(DAILY, day).delete()
    with monkeypatch.context() as patch:
        patch.setattr(Enrollment, "created_between", lambda first, last: iter(()))  # it shows none yet
        [*reports.generate_missing(three_days)]
        Report(DAILY, "2026-10-31").mark_emailed("then")
    assert stored()["2026-11-01"]["enrollments"] == 0

    end = datetime(2026, 11, 1, tzinfo=UTC)  # of October 31, whose report is 25 hours old by now
    assert [*reports.generate_missing(end + timedelta(hours=48, minutes=59), until=date(2026, 10, 31))] == []
    later = end + timedelta(hours=49)
    dates = [report.date for report in reports.generate_missing(later, until=date(2026, 11, 1))]

    assert dates == ["2026-10-31", "2026-11-01"]
    assert stored() == right
    emailed = Report.latest("2026-10-31")
    assert emailed is not None and emailed.emailed_at == "then", "the correction keeps that it was emailed"


def test_reports_are_computed_again_twice(three_days: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    generate = reports._generate

    def note(day: date, *arguments: Any) -> Report:
        computed.append(str(day))
        return generate(day, *arguments)

    monkeypatch.setattr(reports, "_generate", note)
    for hour in range(0, 24 * 4, 4):
        [*reports.generate_missing(datetime(2026, 11, 2, tzinfo=UTC) + timedelta(hours=hour), until=date(2026, 11, 1))]

    # Each is due 1, 25 and 49 hours after its day: the first one was stored after 48 hours.
    assert Counter(computed) == {"2026-10-30": 2, "2026-10-31": 3, "2026-11-01": 3}


def test_large_day_is_counted_by_several_runs(three_days: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    day = FIRST + timedelta(days=2)
    course = create_course(create_user(Role.INSTRUCTOR, day), day)
    enrolled = [enrollments.enroll(create_user(Role.STUDENT, day), course.id, day) for _ in range(3)]
    enrolled += [
        enrollments.enroll(create_user(Role.STUDENT, day), course.id, day + timedelta(minutes=minute))
        for minute in range(8)
    ]
    remove_enrollment(enrolled[5])
    right = {report.date: report.numbers for report in reports.generate_missing(three_days)}
    Report(DAILY, "2026-11-01").delete()
    monkeypatch.setattr(reports, "_CHECK_EVERY", 3)
    runs = 0

    while not stored().get("2026-11-01"):
        runs += 1
        with contextlib.suppress(reports.OutOfTimeError):
            [*reports.generate_missing(three_days, should_continue=lambda: False)]

    assert runs == 4
    assert stored() == right
    assert right["2026-11-01"]["new_enrollments"] == 12
    assert PartialCount.of("2026-11-01").number == 0


def test_first_day_is_regenerated_alone(three_days: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB rejects a query whose lower bound is above its upper one; moto does not."""
    between = Report.between

    def checked(first: str, last: str) -> list[Report]:
        assert first <= last
        return between(first, last)

    monkeypatch.setattr(Report, "between", checked)

    regenerated = [report.date for report in reports.regenerate_from(FIRST.date(), three_days)]

    assert regenerated == ["2026-10-30", "2026-10-31", "2026-11-01"]


def test_report_is_final_after_35_days(three_days: datetime) -> None:
    """The events of a day are deleted, because they name who was in which course."""
    later = three_days + timedelta(days=35)
    [*reports.generate_missing(three_days)]

    with pytest.raises(InvalidInput) as refused:
        [*reports.regenerate_from(date(2026, 10, 30), later + timedelta(days=1))]
    assert "are no longer stored" in refused.value.fields[0].message

    assert [*reports.regenerate_from(date(2026, 11, 1), later)]


def test_events_are_deleted_40_days_after_they_are_recorded(aws: None) -> None:
    teacher, student = create_user(Role.INSTRUCTOR), create_user(Role.STUDENT)
    course = create_course(teacher)
    enrollment = enrollments.enroll(student, course.id, FIRST)
    now = time.time()

    enrollments.withdraw(student, enrollment.id)

    entries = [row for row in LedgerEntry.scan() if row.entry.startswith("enrollment-")]
    assert len(entries) == 2
    for row in entries:
        assert 0 <= row.expires_at - now - 40 * 24 * 60 * 60 + 1 <= 10, "from the deletion, not the creation"
