"""Requests with an Idempotency-Key, their AWS calls, and the resources that they create."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ConnectionClosedError

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.idempotency_records import IdempotencyRecord
from chalicelib.models.lessons import Lesson
from tests.factories import create_course, create_user
from tests.unit.handlers.conftest import ApiClient, ApiResponse

KEY = "8e03978e-40d5-43dd"
RESOURCES = ("courses", "lessons", "enrollments")
Respond = Callable[[], Any]
only_courses = pytest.mark.parametrize("resource", ["courses"])
CALLS = {  # without a key; a first request also makes one write before, and one after the transaction
    "courses": ["TransactWriteItems"],
    "lessons": ["GetItem", "TransactWriteItems"],
    "enrollments": ["GetItem", "TransactWriteItems", "SendMessage"],
}


class Creation:
    """A request that creates a resource, by a caller who may."""

    def __init__(self, http: ApiClient, resource: str) -> None:
        self.http, self.resource = http, resource
        self.path = f"/{resource}/"
        self.teacher, self.admin = create_user(Role.INSTRUCTOR), create_user(Role.ADMIN)
        self.course = create_course(self.teacher)
        self.caller = create_user(Role.STUDENT) if resource == "enrollments" else self.teacher
        self.body = {
            "courses": {"title": "Knots"},
            "lessons": {"title": "Bowline", "course": self.course.id},
            "enrollments": {"course": self.course.id},
        }[resource]

    def send(
        self, key: str | None = KEY, body: Any = None, caller: Caller | None = None, **headers: str
    ) -> ApiResponse:
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.http.call("POST", self.path, caller or self.caller, body or self.body, **headers)

    def delete(self, resource_id: str) -> None:
        caller = self.caller if self.resource == "enrollments" else self.teacher
        assert self.http.call("DELETE", f"{self.path}{resource_id}/", caller).status == 204

    def created(self) -> list[str]:
        """Return the IDs of the resources that exist."""
        if self.resource == "courses":
            owners = {self.teacher.id, self.admin.id}
            others = [course for course in Course.scan() if course.id != self.course.id]
            return [course.id for course in others if course.owner_id in owners and not course.deleted_at]
        if self.resource == "enrollments":
            return [row.id for row in Enrollment.scan() if row.course == self.course.id]
        lessons = [*Lesson.all_of_course(self.course.id)]
        course = Course.find(self.course.id)
        assert course is not None and course.lessons_count == len(lessons)
        return [lesson.id for lesson in lessons]


class Killed(BaseException):
    """The process was killed. It is no Exception, so that no code continues."""


class AwsCalls:
    """The calls to AWS, each of which a test can change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.change: Callable[[int, str, dict[str, Any], Respond], Any] | None = None
        make, calls = BaseClient._make_api_call, self

        def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            calls.made.append(operation)
            change, number = calls.change, len(calls.made) - 1
            if change is None:
                return make(client, operation, parameters)
            return change(number, operation, parameters, lambda: make(client, operation, parameters))

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    def during(self, change: Callable[[int, str, dict[str, Any], Respond], Any], work: Callable[[], Any]) -> Any:
        """Return the result of work, with each of its calls changed."""
        self.made.clear()
        self.change = change
        try:
            return work()
        finally:
            self.change = None

    def of(self, work: Callable[[], Any]) -> list[str]:
        """Return the calls of work."""
        self.made.clear()
        work()
        return [*self.made]


def killed_at(number: int, *, after: bool) -> Callable[[int, str, dict[str, Any], Respond], Any]:
    """Kill the process before or after one call."""

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Respond) -> Any:
        if current == number and not after:
            raise Killed
        response = respond()
        if current == number:
            raise Killed
        return response

    return change


def response_lost() -> Callable[[int, str, dict[str, Any], Respond], Any]:
    """Carry out each call to DynamoDB, and lose its first response.

    DynamoDB recognises a repeated transaction by its token, and moto does not.
    """
    seen: set[str] = set()
    tokens: dict[str, Any] = {}

    def change(current: int, operation: str, parameters: dict[str, Any], respond: Respond) -> Any:
        token = parameters.get("ClientRequestToken")
        if token in tokens:
            return tokens[token]
        response = respond()
        if "TableName" not in parameters and token is None:
            return response
        if token:
            tokens[token] = response
        name = repr((operation, parameters))
        if name not in seen:
            seen.add(name)
            raise ConnectionClosedError(endpoint_url="https://dynamodb.test")
        return response

    return change


def codes(response: ApiResponse) -> list[str]:
    return [error["code"] for error in response.json.get("errors", [])]


def records() -> list[IdempotencyRecord]:
    return [*IdempotencyRecord.scan()]


def is_replayed(response: ApiResponse) -> bool:
    return response.headers.get("idempotency-replayed") == "true"


def leave_in_progress(creation: Creation, aws_calls: AwsCalls) -> None:
    """Kill a request when the resource is created, and its record is not completed."""
    number = len(CALLS[creation.resource])
    with pytest.raises(Killed):
        aws_calls.during(killed_at(number, after=True), creation.send)
