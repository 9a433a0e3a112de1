"""The demo data is completed after an interruption, and counted in reports that exist."""

from datetime import timedelta

import pytest

from chalicelib.core import clock
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.models.place_counters import PlaceCounter, Places
from chalicelib.models.reports import DAILY, Report
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import lessons, reports
from ops import seed
from tests.clients import PASSWORD
from tests.factories import create_user


class Interruption(BaseException):
    """Ctrl-C."""


def counts() -> list[int]:
    users = [user for user in User.scan() if user.username]  # without the row that counts admins
    return [len(users), *(len([*model.scan()]) for model in (Course, Lesson, Enrollment))]


def create_demo() -> None:
    seed.seed(PASSWORD, lambda step: None)


@pytest.mark.parametrize("created_lessons", [0, 7])
def test_interrupted_demo_is_completed(aws: None, monkeypatch: pytest.MonkeyPatch, created_lessons: int) -> None:
    monkeypatch.setattr(passwords, "hash_password", lambda password: "no hash")
    create, created = lessons.create, 0

    def interrupted(*arguments: object) -> object:
        nonlocal created
        if created == created_lessons:
            raise Interruption
        created += 1
        return create(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(Interruption):
        patch.setattr(lessons, "create", interrupted)
        create_demo()
    assert counts()[3] == 0

    create_demo()

    users, courses, lesson_count, enrollments = counts()
    assert (users, courses, lesson_count) == (27, 10, 38)
    assert enrollments > 22
    with pytest.raises(seed.AlreadySeededError):
        create_demo()


def test_demo_of_past_days_corrects_their_reports(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "hash_password", lambda password: "no hash")
    first = clock.now() - timedelta(days=25)
    create_user(Role.STUDENT, first)
    [*reports.generate_missing(clock.now())]

    create_demo()

    stored = {report.date: report.numbers for report in Report.query(DAILY)}
    [*reports.regenerate_from(first.date(), clock.now())]
    assert {report.date: report.numbers for report in Report.query(DAILY)} == stored
    latest = Report.latest("9999")
    assert latest is not None and latest.courses == 10


def test_demo_has_the_documented_courses_and_students(aws: None) -> None:
    create_demo()

    courses = {course.title: course for course in Course.scan()}
    full, later = courses["Algebra in a small group"], courses["A week of combinatorics"]
    counter = PlaceCounter.find(full.id)
    assert counter is not None and counter.places == Places(capacity=3, taken=3, left=0, waiting=1)
    assert clock.timestamp() < later.opens_at < clock.format_timestamp(clock.now() + timedelta(days=1))
    assert [row.course for row in Enrollment.scan() if row.email_pending] == []
    students = [user for user in User.scan() if user.role == "student"]
    assert len([user for user in students if not user.email_verified]) == 1
    assert [len(user.unwanted_emails) for user in students if user.unwanted_emails] == [4]


def test_interrupted_enrollments_are_completed(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise Interruption

    with monkeypatch.context() as patch, pytest.raises(Interruption):
        patch.setattr(reports, "regenerate_from", interrupt)
        create_demo()
    before = counts()

    create_demo()

    assert counts()[1:] == before[1:]
