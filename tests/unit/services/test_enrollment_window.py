"""When a course is open for enrollment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, InvalidInput
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.services import courses, enrollments
from tests.factories import create_course, create_user

OPENS = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
CLOSES = OPENS + timedelta(days=7)
TICK = timedelta(microseconds=1)


@pytest.fixture
def course(owner: Caller) -> Course:
    return create_course(owner, opens_at=clock.format_timestamp(OPENS), closes_at=clock.format_timestamp(CLOSES))


def enroll_at(course: Course, now: datetime) -> list[str]:
    """Try to enroll a new student, and return the codes of the refusal."""
    try:
        enrollments.enroll(create_user(Role.STUDENT), course.id, now)
    except Conflict as error:
        return [f"{field.field}: {field.code}" for field in error.fields]
    return []


@pytest.mark.parametrize(
    ("now", "codes"),
    [
        (OPENS - TICK, ["course: not_open"]),
        (OPENS, []),
        (CLOSES - TICK, []),
        (CLOSES, ["course: closed"]),
    ],
    ids=["before it opens", "when it opens", "before it closes", "when it closes"],
)
def test_student_enrolls_within_the_window_only(course: Course, now: datetime, codes: list[str]) -> None:
    assert enroll_at(course, now) == codes


def test_moved_window_applies_to_the_next_request(owner: Caller, course: Course) -> None:
    courses.update(owner, course.id, {"closes_at": clock.format_timestamp(CLOSES + TICK)}, None)

    assert enroll_at(course, CLOSES) == []


def test_course_without_a_window_is_always_open(owner: Caller) -> None:
    course = create_course(owner)

    assert [enroll_at(course, now) for now in (OPENS, CLOSES)] == [[], []]


@pytest.mark.parametrize("closes_at", [OPENS, OPENS - TICK])
def test_window_that_ends_before_it_begins_is_rejected(owner: Caller, course: Course, closes_at: datetime) -> None:
    window: dict[str, Any] = {"opens_at": clock.format_timestamp(OPENS), "closes_at": clock.format_timestamp(closes_at)}

    with pytest.raises(InvalidInput) as created:
        create_course(owner, **window)
    with pytest.raises(InvalidInput) as changed:
        courses.update(owner, course.id, {"closes_at": window["closes_at"]}, None)

    assert [error.value.fields[0].field for error in (created, changed)] == ["closes_at"] * 2
    stored = Course.find(course.id)
    assert stored is not None and stored.closes_at == clock.format_timestamp(CLOSES)
