"""What tests of courses with a capacity do and look up."""

import json
from typing import Any

import boto3
import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import DomainError
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.services import (
    place_settlement,
    places,
)


def settle(course: Course, void_through: int = 0) -> int:
    """Run the worker once, and return how many students it enrolled."""
    return sum(place_settlement.settle(course.id, void_through))


def codes(error: pytest.ExceptionInfo[DomainError]) -> list[str]:
    return [f"{field.field}: {field.code}" for field in error.value.fields]


def numbers(course: Course) -> tuple[int | None, ...]:
    """Return capacity, taken and left places, and how many wait."""
    counted = places.get(None, course.id)
    return counted.capacity, counted.taken, counted.left, counted.waiting


def enrolled(course: Course) -> set[str]:
    return {str(row.student) for row in Enrollment.all_of_course(course.id)}


def entry_id(student: Caller, course: Course) -> str:
    row = Enrollment.find_by_student_and_course(student.id, course.id)
    assert row is not None
    return row.id


def messages(queue: str) -> list[dict[str, Any]]:
    """Take what lies in a queue, without the messages that are delayed."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=f"eduflow-{queue}-test")["QueueUrl"]
    received: list[dict[str, Any]] = []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += [json.loads(message["Body"]) for message in batch]
    return received
