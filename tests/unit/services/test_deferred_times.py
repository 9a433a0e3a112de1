"""When deferred work is done: not before its time, and not only after it."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.services import cascade_deletion, cleanup, courses, enrollments, reports, users
from tests.factories import create_course, create_user

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def owner(aws: None, monkeypatch: pytest.MonkeyPatch) -> Caller:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return create_user(Role.INSTRUCTOR)


def requeued(now: datetime) -> dict[str, int]:
    counts = cleanup.run(now, lambda step, number: True)
    return {name: number for name, number in counts.items() if number}


@pytest.mark.parametrize(
    ("step", "delay"),
    [
        ("CourseDeletionsRequeued", timedelta(minutes=30)),
        ("UserDeletionsRequeued", timedelta(minutes=30)),
        ("InactiveStudentsQueued", timedelta(days=30)),
        ("EmailsRequeued", timedelta(minutes=45)),
    ],
)
def test_step_begins_after_its_delay(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, step: str, delay: timedelta
) -> None:
    course, student = create_course(owner), create_user(Role.STUDENT)
    with monkeypatch.context() as patch:
        patch.setattr(sqs, "send", lambda *_, **__: False)  # lost
        if step == "CourseDeletionsRequeued":
            courses.delete(owner, course.id, None)
        elif step == "UserDeletionsRequeued":
            users.erase(student.id)
        elif step == "InactiveStudentsQueued":
            users.apply_changes(student.id, {"is_active": False})
        else:
            enrollments.enroll(student, course.id)

    assert requeued(NOW + delay) == {}
    assert requeued(NOW + delay + timedelta(seconds=1)) == {step: 1}


def test_email_is_requeued_every_three_hours(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sqs, "send", lambda *_, **__: False)
        enrollments.enroll(create_user(Role.STUDENT), create_course(owner).id)
    first = NOW + timedelta(hours=1)

    assert requeued(first) == {"EmailsRequeued": 1}
    assert requeued(first + timedelta(hours=3, microseconds=-1)) == {}
    assert requeued(first + timedelta(hours=3)) == {"EmailsRequeued": 1}


def test_inactive_student_is_checked_again_before_the_deletion(owner: Caller) -> None:
    student = create_user(Role.STUDENT)
    enrollment = enrollments.enroll(student, create_course(owner).id)
    users.apply_changes(student.id, {"is_active": False})
    user = User.find(student.id)
    assert user is not None
    began = clock.parse_timestamp(str(user.lifecycle_at))

    def delete(now: datetime) -> list[int]:
        return [*cascade_deletion.delete_dependents(sqs.CascadeTarget.INACTIVE, student.id, now)]

    assert delete(began + timedelta(days=30)) == []
    assert Enrollment.find(enrollment.id) is not None
    assert delete(began + timedelta(days=30, seconds=1)) == [1]
    assert Enrollment.find(enrollment.id) is None


def test_steps_of_a_cascade_count_their_rows(owner: Caller) -> None:
    create_course(owner, is_published=False)
    users.erase(owner.id)

    steps = [*cascade_deletion.delete_dependents(sqs.CascadeTarget.USER, owner.id, NOW + timedelta(days=9))]

    assert steps == [1, 1]  # the session and the draft
    assert User.get_or_none(owner.id) is not None, "this run found dependents"
    assert [*cascade_deletion.delete_dependents(sqs.CascadeTarget.USER, owner.id, NOW + timedelta(days=9))] == []
    assert User.get_or_none(owner.id) is None
    student = create_user(Role.STUDENT)
    with pytest.raises(cascade_deletion.TargetStillExistsError, match=f"^The user {student.id} exists.$"):
        [*cascade_deletion.delete_dependents(sqs.CascadeTarget.USER, student.id, NOW)]


def test_regenerated_day_stores_missing_days_before_it_only_once(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated: list[date] = []
    generate = reports._generate

    def note(day: date, *arguments: Any) -> object:
        generated.append(day)
        return generate(day, *arguments)

    monkeypatch.setattr(reports, "_generate", note)
    now = NOW + timedelta(days=4)

    stored = [report.date for report in reports.regenerate_from(date(2026, 11, 24), now)]

    assert stored == ["2026-11-24", "2026-11-25"]
    assert [day.day for day in generated] == [22, 23, 24, 25]


def test_deleted_enrollment_reduces_the_total_of_its_day(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    course = create_course(owner)
    _, second = (enrollments.enroll(create_user(Role.STUDENT), course.id) for _ in range(2))
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(days=1))
    monkeypatch.setattr(clock, "timestamp", lambda: clock.format_timestamp(NOW + timedelta(days=1)))
    assert Enrollment.delete_batch([second], clock.timestamp()) == 1

    stored = {report.date: report.numbers for report in reports.generate_missing(NOW + timedelta(days=3))}

    assert [stored[f"2026-11-{day}"]["enrollments"] for day in (22, 23, 24)] == [2, 1, 1]
    assert [stored[f"2026-11-{day}"]["new_enrollments"] for day in (22, 23, 24)] == [2, 0, 0]


def test_day_ends_in_utc(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        assert [report.date for report in reports.generate_missing(NOW + timedelta(hours=12))] == []
    finally:
        monkeypatch.undo()
        time.tzset()
