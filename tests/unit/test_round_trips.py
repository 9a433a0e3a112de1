"""How many round trips to AWS an operation waits for."""

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.adapters import sqs
from chalicelib.core.audiences import LessonAudience
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import Conflict, TooManyAttempts
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.handlers.workers import emails
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.throttles import Throttle
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import (
    accounts,
    courses,
    enrollments,
    lesson_listing,
    lessons,
    place_settlement,
    sessions,
    users,
    waitlist,
)
from infra.config import PROJECT
from tests.clients import PASSWORD
from tests.factories import create_course, create_user
from tests.unit.round_trips import RoundTrips

ADDRESS = "192.0.2.7"
LESSON: dict[str, Any] = {"title": "A lesson", "content": "", "duration_min": 5}
ROUND_TRIPS = {
    "own profile": 1,
    "refresh of a token": 2,
    "list of courses": 2,
    "list of an instructor's courses and drafts": 2,
    "list of all enrollments": 1,
    "list of one's enrollments": 1,
    "list of users": 2,
    "page of lessons across courses": 3,
    "next page of lessons across courses": 3,
    "page of lessons across courses of one lesson each": 4,
    "page of lessons across courses, for the enrolled": 4,
    "lesson": 2,
    "lesson for the enrolled": 3,
    "login": 3,
    "login from a new address": 3,
    "login after failures in a window that is over": 4,
    "failed login": 3,
    "login that the limit of failures refuses": 3,
    "login that the limit of logins refuses": 4,
    "enrollment": 3,
    "enrollment in a course with a capacity": 5,
    "enrollment in a full course": 3,
    "joining a waitlist": 4,
    "joining a waitlist before places are settled": 5,
    "leaving a course": 2,
    "leaving a course with a capacity": 4,
    "leaving a waitlist": 4,
    "email of an enrollment": 4,
}


@pytest.fixture
def trips(aws: None, monkeypatch: pytest.MonkeyPatch) -> RoundTrips:
    monkeypatch.setattr(passwords, "verify_password", lambda given, kept: given == PASSWORD and kept is not None)
    monkeypatch.setattr(passwords, "needs_rehash", lambda kept: False)
    monkeypatch.setitem(settings().__dict__, "enrollment_shards", 4)
    for queue in (sqs.EMAILS, sqs.WAITLIST):  # once per process
        sqs.queue_url(queue)
    return RoundTrips(monkeypatch)


class School:
    """An instructor with 6 courses of 5 lessons each, and a student."""

    def __init__(self) -> None:
        self.admin, self.teacher, self.student = (
            create_user(role) for role in (Role.ADMIN, Role.INSTRUCTOR, Role.STUDENT)
        )
        self.courses = [create_course(self.teacher) for _ in range(6)]
        for course in self.courses:
            for number in range(5):
                self.lesson = lessons.create(self.teacher, course.id, LESSON | {"order_index": number})

    def create_short_courses(self) -> None:
        for _ in range(18):
            lessons.create(self.teacher, create_course(self.teacher).id, LESSON | {"order_index": 1})

    def close_lessons(self) -> None:
        """Make all lessons lessons for the enrolled, among whom the student is."""
        for course in self.courses:
            courses.update(self.teacher, course.id, {"lessons_for": LessonAudience.ENROLLED}, None)
            enrollments.enroll(self.student, course.id)

    def log_in(self, password: str = PASSWORD) -> Any:
        return sessions.login(self.student.username, password, ADDRESS)

    def fail_to_log_in(self) -> None:
        with pytest.raises(Exception, match="Invalid credentials"):
            self.log_in("wrong")

    def fail_long_ago(self) -> None:
        self.log_in()
        self.fail_to_log_in()
        for window in Throttle.scan():  # DynamoDB deletes it within days
            window.update([Throttle.expires_at.set(1)])

    def use_up_logins(self) -> None:
        self.log_in()
        Throttle(f"logins#{self.student.id}").update([Throttle.reserved.set(60)])

    def use_up_failures(self) -> None:
        for _ in range(10):
            self.fail_to_log_in()

    def be_refused(self) -> None:
        with pytest.raises(TooManyAttempts):
            self.log_in()

    def enroll(self) -> Enrollment:
        return enrollments.enroll(self.student, self.courses[0].id)

    def create_course_with_capacity(self, capacity: int = 2, joined: int = 1) -> Course:
        """Create a course that other students have joined."""
        course = create_course(self.teacher, capacity=capacity, waitlist=2)
        for _ in range(joined):
            enrollments.enroll_or_wait(create_user(Role.STUDENT), course.id)
        return course

    def create_full_course(self) -> Course:
        return self.create_course_with_capacity(capacity=1)

    def join(self, course: Course) -> Any:
        return enrollments.enroll_or_wait(self.student, course.id)

    def be_refused_by(self, course: Course) -> None:
        with pytest.raises(Conflict):
            enrollments.enroll(self.student, course.id)

    def enroll_with_unsubscribe_link(self) -> Enrollment:
        """Enroll a student who had an email before: the first one creates the secret of the links."""
        user = User.find(self.student.id)
        assert user is not None
        user.ensure_unsubscribe_secret()
        return self.enroll()


def _list_courses(caller: Caller | None) -> Any:
    return courses.list_courses(caller, PageRequest(20), ordering="-created_at", own=False)


def _list_enrollments(caller: Caller) -> Any:
    return enrollments.list_enrollments(caller, PageRequest(20), course=None, student=None)


def _settle(course: Course) -> Course:
    [*place_settlement.settle(course.id, 0)]
    return course


def _send_email(enrollment: Enrollment) -> None:
    record = {
        "messageId": "m",
        "body": json.dumps(sqs.email_message(EmailKind.ENROLLMENT, enrollment.id, "r")),
        "eventSource": "aws:sqs",
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000, aws_request_id="r")
    handler: Any = emails.emails  # Chalice's: it takes what Lambda gives
    assert handler({"Records": [record]}, context) == {"batchItemFailures": []}


def operations(school: School) -> dict[str, tuple[Callable[[], Any], Callable[[Any], object]]]:
    """Return the operations, each as what comes before it, and itself with the result of that."""

    def nothing() -> None: ...

    def list_lessons(page: Any) -> Any:
        cursor = page.next_cursor if page else None
        return lesson_listing.list_lessons(school.student, PageRequest(20, cursor), None)

    def get_lesson() -> Any:
        return lessons.get(school.student, school.lesson.id)

    return {
        "own profile": (nothing, lambda _: accounts.get_profile(school.student)),
        "refresh of a token": (school.log_in, lambda pair: sessions.refresh(pair.refresh)),
        "list of courses": (nothing, lambda _: _list_courses(school.student)),
        "list of an instructor's courses and drafts": (nothing, lambda _: _list_courses(school.teacher)),
        "list of all enrollments": (nothing, lambda _: _list_enrollments(school.admin)),
        "list of one's enrollments": (nothing, lambda _: _list_enrollments(school.student)),
        "list of users": (nothing, lambda _: users.list_users(school.admin, PageRequest(20))),
        "page of lessons across courses": (nothing, lambda _: list_lessons(None)),
        "next page of lessons across courses": (
            lambda: lesson_listing.list_lessons(school.student, PageRequest(7), None),
            list_lessons,
        ),
        "page of lessons across courses of one lesson each": (
            school.create_short_courses,
            lambda _: list_lessons(None),
        ),
        "page of lessons across courses, for the enrolled": (school.close_lessons, lambda _: list_lessons(None)),
        "lesson": (nothing, lambda _: get_lesson()),
        "lesson for the enrolled": (school.close_lessons, lambda _: get_lesson()),
        "login": (school.log_in, lambda _: school.log_in()),
        "login from a new address": (nothing, lambda _: school.log_in()),
        "login after failures in a window that is over": (school.fail_long_ago, lambda _: school.log_in()),
        "failed login": (nothing, lambda _: school.fail_to_log_in()),
        "login that the limit of failures refuses": (school.use_up_failures, lambda _: school.be_refused()),
        "login that the limit of logins refuses": (school.use_up_logins, lambda _: school.be_refused()),
        "enrollment": (nothing, lambda _: school.enroll()),
        "enrollment in a course with a capacity": (school.create_course_with_capacity, school.join),
        "enrollment in a full course": (school.create_full_course, school.be_refused_by),
        "joining a waitlist": (lambda: _settle(school.create_full_course()), school.join),
        "joining a waitlist before places are settled": (school.create_full_course, school.join),
        "leaving a course": (school.enroll, lambda row: enrollments.withdraw(school.student, row.id)),
        "leaving a course with a capacity": (
            lambda: school.join(school.create_course_with_capacity()),
            lambda row: enrollments.withdraw(school.student, row.id),
        ),
        "leaving a waitlist": (
            lambda: school.join(school.create_full_course()),
            lambda entry: waitlist.leave(school.student, entry.id),
        ),
        "email of an enrollment": (school.enroll_with_unsubscribe_link, _send_email),
    }


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_operation_waits_for_these_round_trips(trips: RoundTrips, name: str) -> None:
    prepare, run = operations(School())[name]
    prepared = prepare()

    assert trips.of(lambda: run(prepared)) == ROUND_TRIPS[name], trips.calls


def test_documented_round_trips_are_these() -> None:
    document = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = document.partition("## Round trips")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| .+ \|$", section, re.MULTILINE)

    assert {name: int(number) for name, number in rows} == ROUND_TRIPS
