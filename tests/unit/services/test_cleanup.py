"""The cleanup requeues lost work: once, late, twice, and when steps fail."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import boto3
import pytest

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.models.users import User
from chalicelib.services import (
    cascade_deletion,
    cleanup,
    courses,
    enrollments,
    lessons,
    place_settlement,
    users,
    withdrawals,
)
from tests.factories import create_course, create_user, remove_enrollment

NOW = datetime.now(UTC)


def clean(now: datetime = NOW) -> dict[str, int]:
    return cleanup.run(now, should_continue=lambda step, number: True)


@pytest.fixture
def teacher(aws: None) -> Caller:
    boto3.client("sqs").set_queue_attributes(QueueUrl=sqs.queue_url(sqs.DELETIONS), Attributes={"DelaySeconds": "0"})
    return create_user(Role.INSTRUCTOR)


@pytest.fixture
def course(teacher: Caller) -> Course:
    return create_course(teacher)


@pytest.fixture
def unsent(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No message reaches a queue until it is undone."""
    monkeypatch.setattr(sqs, "send", lambda *_, **__: False)
    return monkeypatch


def messages(name: str) -> list[dict[str, Any]]:
    """What lies in a queue, taken out of it."""
    client, url = boto3.client("sqs"), sqs.queue_url(name)
    found = []
    while batch := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        found += [json.loads(message["Body"]) for message in batch]
        for message in batch:
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def enroll(course: Course, ago: timedelta) -> Enrollment:
    return enrollments.enroll(create_user(Role.STUDENT), course.id, NOW - ago)


@pytest.mark.usefixtures("unsent")
def test_lost_email_messages_are_requeued(course: Course) -> None:
    lost = [enroll(course, timedelta(hours=1)) for _ in range(23)]
    enroll(course, timedelta(minutes=44))
    enroll(course, timedelta(hours=1)).mark_email_sent()
    enroll(course, timedelta(hours=1)).mark_email_failed("now", "MessageRejected")
    remove_enrollment(enroll(course, timedelta(hours=1)))

    assert clean()["EmailsRequeued"] == 23
    assert {one["id"] for one in messages(sqs.EMAILS)} == {one.id for one in lost}
    assert clean()["EmailsRequeued"] == 0
    assert clean(NOW + timedelta(hours=2))["EmailsRequeued"] == 1  # the young one
    assert clean(NOW + timedelta(hours=3))["EmailsRequeued"] == 24, "all of them once more"
    assert clean(NOW + timedelta(hours=5))["EmailsRequeued"] == 0


@pytest.mark.usefixtures("unsent")
def test_requeueing_continues_where_it_stopped(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.models.pending_emails._READ_BATCH_SIZE", 4)
    lost = [enroll(course, timedelta(hours=1, seconds=number)) for number in range(10)]

    for expected in (4, 4, 2, 0):
        counts = cleanup.run(NOW, should_continue=lambda step, number: step != "EmailsRequeued")
        assert counts["EmailsRequeued"] == expected
    requeued = [one["id"] for one in messages(sqs.EMAILS)]
    assert requeued == [row.id for row in reversed(lost)], "oldest first, each once"


@pytest.mark.usefixtures("unsent")
def test_rejected_messages_are_requeued_by_the_next_run(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = [enroll(course, timedelta(hours=1)) for _ in range(12)]

    def accept_all_but_one(queue: str, messages: Any) -> Any:
        yield [*messages][1:]

    with monkeypatch.context() as patch:
        patch.setattr(sqs, "send_batches", accept_all_but_one)
        with pytest.raises(cleanup.CleanupError, match="EmailsRequeued"):
            clean()

    assert clean()["EmailsRequeued"] == len(lost)


@pytest.mark.usefixtures("unsent")
def test_requeueing_writes_nothing_per_email(course: Course, dynamodb_calls: list[str]) -> None:
    for _ in range(30):
        enroll(course, timedelta(hours=1))
    dynamodb_calls.clear()

    assert clean()["EmailsRequeued"] == 30
    assert dynamodb_calls.count("PutItem") == 1
    assert dynamodb_calls.count("UpdateItem") == 0


def test_course_tombstone_is_purged_a_day_later(teacher: Caller, course: Course, unsent: pytest.MonkeyPatch) -> None:
    enroll(course, timedelta(hours=1))
    courses.delete(teacher, course.id, None)
    unsent.undo()

    assert clean()["CourseDeletionsRequeued"] == 0
    assert clean(NOW + timedelta(hours=1))["CourseDeletionsRequeued"] == 1
    [message] = messages(sqs.DELETIONS)

    def sweep(now: datetime) -> int:
        return sum(cascade_deletion.delete_dependents(sqs.CascadeTarget(message["target"]), message["id"], now))

    def tombstone() -> bool:
        return Course.get_or_none(course.id) is not None

    assert sweep(NOW + timedelta(hours=1)) == 1
    assert sweep(NOW + timedelta(hours=1)) == 0
    assert tombstone(), "younger than a day"
    Enrollment.new("0" * 16, course.id, clock.format_timestamp(NOW), "late").insert()
    assert sweep(NOW + timedelta(days=2)) == 1
    assert tombstone(), "this cleanup found dependents"
    assert sweep(NOW + timedelta(days=2)) == 0
    assert not tombstone()
    assert sweep(NOW + timedelta(days=2)) == 0
    assert clean(NOW + timedelta(days=2))["CourseDeletionsRequeued"] == 0


def test_tombstone_is_swept_three_times(teacher: Caller, course: Course) -> None:
    student = create_user(Role.STUDENT)
    courses.delete(teacher, course.id, None)
    users.erase(student.id)
    deleted_at = datetime.now(UTC)

    def work(hours: float) -> int:
        """Let the cleanup and the worker run, and return how many messages the worker had."""
        now = deleted_at + timedelta(hours=hours)
        clean(now)
        found = messages(sqs.DELETIONS)
        for message in found:
            for _ in cascade_deletion.delete_dependents(sqs.CascadeTarget(message["target"]), message["id"], now):
                pass
        return len(found)

    assert [work(0.1), work(0.4)] == [2, 0], "the messages of the deletions, and not yet the cleanup's"
    assert [work(hours) for hours in range(1, 24)] == [2] + [0] * 22
    assert [work(hours) for hours in (24.1, 25, 26)] == [2, 0, 0]
    assert Course.get_or_none(course.id) is None
    assert User.get_or_none(student.id) is None


def test_unfinished_sweep_is_requeued_every_hour(teacher: Caller, course: Course) -> None:
    for _ in range(40):
        enroll(course, timedelta(0))
    courses.delete(teacher, course.id, None)
    deleted_at = datetime.now(UTC)

    for hours in (1, 2):
        now = deleted_at + timedelta(hours=hours)
        assert clean(now)["CourseDeletionsRequeued"] == 1
        next(cascade_deletion.delete_dependents(sqs.CascadeTarget.COURSE, course.id, now))  # its time ends here
    assert [*Enrollment.all_of_course(course.id)] == []
    assert clean(deleted_at + timedelta(hours=3))["CourseDeletionsRequeued"] == 1


def test_user_tombstone_is_purged_a_day_later(course: Course) -> None:
    student = create_user(Role.STUDENT)
    enrollments.enroll(student, course.id)
    users.erase(student.id)

    assert clean(NOW + timedelta(days=3))["UserDeletionsRequeued"] == 1
    assert (
        sum(cascade_deletion.delete_dependents(sqs.CascadeTarget.USER, student.id, NOW + timedelta(days=3))) == 2
    )  # enrollment and session
    assert User.get_or_none(student.id) is not None
    assert sum(cascade_deletion.delete_dependents(sqs.CascadeTarget.USER, student.id, NOW + timedelta(days=3))) == 0
    assert User.get_or_none(student.id) is None


def test_enrollments_of_long_inactive_students_are_deleted(course: Course) -> None:
    student, other = create_user(Role.STUDENT), create_user(Role.STUDENT)
    mine, others = enrollments.enroll(student, course.id), enrollments.enroll(other, course.id)
    users.apply_changes(student.id, {"is_active": False})

    assert clean(NOW + timedelta(days=29))["InactiveStudentsQueued"] == 0
    later = NOW + timedelta(days=31)
    assert clean(later)["InactiveStudentsQueued"] == 1
    assert sum(cascade_deletion.delete_dependents(sqs.CascadeTarget.INACTIVE, student.id, later)) == 1
    assert Enrollment.find(mine.id) is None
    assert Enrollment.find(others.id) is not None
    assert clean(later)["InactiveStudentsQueued"] == 0


def test_reactivated_student_keeps_enrollments(course: Course) -> None:
    student = create_user(Role.STUDENT)
    mine = [enrollments.enroll(student, create_course(create_user(Role.INSTRUCTOR)).id) for _ in range(40)]
    users.apply_changes(student.id, {"is_active": False})
    later = NOW + timedelta(days=31)

    sweep = cascade_deletion.delete_dependents(sqs.CascadeTarget.INACTIVE, student.id, later)
    first = next(sweep)
    users.apply_changes(student.id, {"is_active": True})

    assert sum(sweep) == 0
    assert len([one for one in mine if Enrollment.find(one.id)]) == 40 - first
    assert sum(cascade_deletion.delete_dependents(sqs.CascadeTarget.INACTIVE, student.id, later)) == 0


@pytest.mark.usefixtures("unsent")
def test_settlement_with_a_lost_message_is_requested_until_done(teacher: Caller) -> None:
    course, unlimited = create_course(teacher, capacity=1, waitlist=1), create_course(teacher)
    student, waiting = create_user(Role.STUDENT), create_user(Role.STUDENT)
    enrollments.enroll(student, unlimited.id)
    enrollment = enrollments.enroll(student, course.id)
    entry = enrollments.enroll_or_wait(waiting, course.id)
    enrollments.withdraw(student, enrollment.id)

    assert [clean()["SettlementsRequested"], clean()["SettlementsRequested"]] == [1, 1]
    request, repeated = messages(sqs.WAITLIST)
    assert request["course"] == repeated["course"] == course.id
    assert sum(place_settlement.settle(course.id, int(request["void_through"]))) == 1
    assert isinstance(enrollments.get_own(waiting, entry.id), Enrollment)
    assert clean()["SettlementsRequested"] == 0


def test_cascade_refuses_existing_targets(teacher: Caller, course: Course) -> None:
    enroll(course, timedelta(0))
    for kind, entity_id in ((sqs.CascadeTarget.COURSE, course.id), (sqs.CascadeTarget.USER, teacher.id)):
        with pytest.raises(cascade_deletion.TargetStillExistsError):
            [*cascade_deletion.delete_dependents(kind, entity_id, NOW)]
    assert sum(cascade_deletion.delete_dependents(sqs.CascadeTarget.INACTIVE, teacher.id, NOW)) == 0


def test_interrupted_cascade_resumes(teacher: Caller, course: Course) -> None:
    for number in range(5):
        fields = {"title": str(number), "content": "", "duration_min": 0, "order_index": number}
        lessons.create(teacher, course.id, fields)
    for _ in range(40):
        enroll(course, timedelta(0))
    courses.delete(teacher, course.id, None)

    sweeps = 0
    while next(
        cascade_deletion.delete_dependents(sqs.CascadeTarget.COURSE, course.id, NOW), None
    ):  # each is broken off after one step
        sweeps += 1

    assert sweeps >= 3
    assert [*Enrollment.scan(), *Lesson.scan()] == []


def test_batch_deletion_skips_deleted_enrollments(course: Course) -> None:
    some = [enroll(course, timedelta(0)) for _ in range(40)]
    for one in (some[0], some[7], some[39]):
        remove_enrollment(one)

    assert [*withdrawals.delete_in_batches(some)] == [31, 6]
    assert [*Enrollment.scan()] == []


@pytest.mark.parametrize("failing", cleanup.STEPS)
def test_failed_cleanup_step_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: str
) -> None:
    others = [name for name in cleanup.STEPS if name != failing]
    completed: list[str] = []

    def step(name: str, now: datetime) -> Iterator[int]:
        if name == failing:
            raise ZeroDivisionError
        yield 1
        completed.append(name)

    for name in cleanup.STEPS:
        monkeypatch.setitem(cleanup.STEPS, name, partial(step, name))

    with pytest.raises(cleanup.CleanupError, match=f"^{failing}$"):
        clean(NOW)

    assert completed == others
    assert "Cleanup step failed" in caplog.text
