"""The worker of cascade deletions: it deletes in steps, requeues the rest, and refuses entities that exist."""

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.adapters import sqs
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.handlers.workers import deletions, requeueing
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.services import courses, enrollments, lessons
from tests.factories import create_course, create_user


@pytest.fixture
def requeued(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The messages that were sent to the queue of deletions."""
    messages: list[dict[str, Any]] = []

    def send(queue: str, message: dict[str, Any], **options: Any) -> bool:
        messages.append(message | options)
        return True

    monkeypatch.setattr(sqs, "send", send)
    return messages


def receive(course_id: str, seconds_left: int = 60) -> None:
    body = json.dumps({"target": "course", "id": course_id, "request_id": "r"})
    event = {"Records": [{"body": body, "receiptHandle": "h"}]}
    deletions.cascade_deletions(
        event, SimpleNamespace(aws_request_id="a", get_remaining_time_in_millis=lambda: seconds_left * 1000)
    )


def course_with_dependents() -> tuple[Caller, str]:
    owner = create_user(Role.INSTRUCTOR)
    course = create_course(owner)
    for number in range(3):
        fields = {"title": f"No {number}", "content": "", "duration_min": 0, "order_index": number}
        lessons.create(owner, course.id, fields)
    enrollments.enroll(create_user(Role.STUDENT), course.id)
    return owner, course.id


def test_dependents_of_deleted_course_are_deleted(aws: None, requeued: list[dict[str, Any]]) -> None:
    owner, course_id = course_with_dependents()
    courses.delete(owner, course_id, None)
    requeued.clear()

    receive(course_id)
    receive(course_id)

    assert [*Lesson.scan(), *Enrollment.scan()] == []
    assert requeued == []


def test_worker_without_time_requeues_the_rest(aws: None, requeued: list[dict[str, Any]]) -> None:
    owner, course_id = course_with_dependents()
    courses.delete(owner, course_id, None)
    requeued.clear()

    for _ in range(5):
        receive(course_id, seconds_left=10)

    assert {"target": "course", "id": course_id, "request_id": "r", "DelaySeconds": 0} in requeued
    assert [*Lesson.scan(), *Enrollment.scan()] == []


def test_failed_requeue_keeps_the_message(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, course_id = course_with_dependents()
    courses.delete(owner, course_id, None)
    monkeypatch.setattr(sqs, "send", lambda *_, **__: False)

    with pytest.raises(requeueing.RequeueFailedError):
        receive(course_id, seconds_left=10)


def test_existing_course_is_not_cascaded(
    aws: None, requeued: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    _, course_id = course_with_dependents()

    with caplog.at_level(logging.ERROR):
        receive(course_id)

    assert len([*Lesson.scan()]) == 3
    assert "Refusing cascade deletion: target still exists" in caplog.text
