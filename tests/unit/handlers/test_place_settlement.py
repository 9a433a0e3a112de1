"""The worker of waitlists: it enrolls in steps, requeues the rest, and keeps messages that it cannot process."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.adapters import sqs
from chalicelib.core import retry_policy
from chalicelib.core.caller import Caller
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.roles import Role
from chalicelib.handlers.workers import place_settlement, requeueing
from chalicelib.models.courses import Course
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.observability import metrics
from chalicelib.services import enrollments, places
from chalicelib.services import place_settlement as service
from tests.factories import create_course, create_user
from tests.unit.conftest import log_lines

STUDENTS = 3


@pytest.fixture
def requeued(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The messages that were sent to the queue of waitlists, with their options."""
    messages: list[dict[str, Any]] = []

    def send(queue: str, message: dict[str, Any], **options: Any) -> bool:
        if queue == sqs.WAITLIST:
            messages.append(message | options)
        return True

    monkeypatch.setattr(sqs, "send", send)
    return messages


@pytest.fixture
def emails(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The messages that were sent to the queue of emails in batches."""
    messages: list[dict[str, Any]] = []

    def send_batches(queue: str, batch: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        messages.extend(batch)
        yield batch

    monkeypatch.setattr(sqs, "send_batches", send_batches)
    return messages


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The metrics that were incremented."""
    counts = Counter[str]()
    monkeypatch.setattr(metrics, "increment", lambda name, value=1: counts.update({name: value}))  # adds
    return counts


@pytest.fixture
def course(aws: None, requeued: list[dict[str, Any]], emails: list[dict[str, Any]]) -> Course:
    """A course whose students left, with as many who wait for their places."""
    course = create_course(create_user(Role.INSTRUCTOR), capacity=STUDENTS, waitlist=STUDENTS)
    first = [_join(course) for _ in range(STUDENTS)]
    for _ in range(STUDENTS):
        _join(course)
    for student, enrollment_id in first:
        enrollments.withdraw(student, enrollment_id)
    requeued.clear()
    return course


def _join(course: Course) -> tuple[Caller, str]:
    student = create_user(Role.STUDENT)
    return student, enrollments.enroll_or_wait(student, course.id).id


def receive(body: str, seconds_left: int = 60) -> None:
    event = {"Records": [{"body": body, "receiptHandle": "h"}]}
    place_settlement.place_settlement(
        event, SimpleNamespace(aws_request_id="a", get_remaining_time_in_millis=lambda: seconds_left * 1000)
    )


def message(course: Course) -> dict[str, Any]:
    return {"course": course.id, "void_through": "0", "request_id": "r"}


def test_waiting_students_are_enrolled_with_an_email_each(
    course: Course, emails: list[dict[str, Any]], requeued: list[dict[str, Any]], counted: dict[str, int]
) -> None:
    receive(json.dumps(message(course)))

    assert [email["kind"] for email in emails] == [EmailKind.PLACE_AVAILABLE] * STUDENTS
    assert counted["StudentsPromoted"] == STUDENTS
    assert places.get(None, course.id).waiting == 0
    assert requeued == []


def test_second_delivery_enrolls_no_student_again(
    course: Course, emails: list[dict[str, Any]], counted: dict[str, int]
) -> None:
    receive(json.dumps(message(course)))
    emails.clear()
    counted.clear()

    receive(json.dumps(message(course)))

    assert (emails, counted["StudentsPromoted"]) == ([], 0)


def test_settlement_logs_course_and_number(course: Course, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        receive(json.dumps(message(course)))

    assert log_lines(caplog, "app.event") == [
        ("Places settled", {"course": course.id, "enrolled": STUDENTS, "complete": True})
    ]


def test_worker_without_time_requeues_the_rest(
    course: Course,
    requeued: list[dict[str, Any]],
    emails: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(service, "BATCH_SIZE", 1)

    with caplog.at_level(logging.INFO):
        receive(json.dumps(message(course)), seconds_left=19)

    assert requeued == [message(course) | {"DelaySeconds": 0}]
    [(_, fields)] = log_lines(caplog, "app.event")
    assert fields["complete"] is False
    while requeued:
        receive(json.dumps(requeued.pop()), seconds_left=19)
    assert len(emails) == STUDENTS


def test_failed_requeue_keeps_the_message(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "send", lambda *_, **__: False)

    with pytest.raises(requeueing.RequeueFailedError):
        receive(json.dumps(message(course)), seconds_left=19)


def test_unused_number_is_settled_by_a_delayed_message(
    aws: None, requeued: list[dict[str, Any]], emails: list[dict[str, Any]], counted: dict[str, int]
) -> None:
    course = create_course(create_user(Role.INSTRUCTOR), capacity=1, waitlist=1)
    PlaceCounter.draw(course.id, can_wait=False)  # the request dies
    _join(course)
    requeued.clear()

    receive(json.dumps(message(course)))
    [later] = requeued

    assert counted["StudentsPromoted"] == 0
    assert (later.pop("DelaySeconds"), later["void_through"]) == (retry_policy.UNUSED_NUMBER_SECONDS, "2")
    receive(json.dumps(later))
    assert counted["StudentsPromoted"] == len(emails) == 1


@pytest.mark.parametrize("body", ["no JSON", "{}", '{"course": "x", "void_through": "many", "request_id": "r"}'])
def test_malformed_message_stays_in_the_queue(aws: None, body: str, caplog: pytest.LogCaptureFixture) -> None:
    """SQS moves it to the dead-letter queue after its last delivery."""
    with pytest.raises((KeyError, ValueError)):
        receive(body)

    assert [record.levelname for record in caplog.records if record.name == "app.error"] == ["ERROR"]


def test_message_of_a_deleted_course_changes_nothing(aws: None, counted: dict[str, int]) -> None:
    receive(json.dumps({"course": "0" * 16, "void_through": "0", "request_id": "r"}))

    assert counted["StudentsPromoted"] == 0
