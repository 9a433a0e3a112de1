"""The calls about places that functions make only rarely, made for test_policies."""

import json
from typing import Any

from tests.clients import Actor, register
from tests.e2e.email_tour import user_id_of
from tests.fault_injection.proxy import Call, Fault, FaultyAws
from tests.stack import RunningStack
from tests.waiting import eventually

_DELETIONS = "eduflow-local-cascade_deletions"
_WORKER_SECONDS = 120


def use_places(stack: RunningStack) -> None:
    """Let students join, wait and leave, and functions find what others left behind."""
    teacher = register(stack.api, "instructor")
    _give_places_on(stack, teacher)
    _lose_entry(stack, teacher)
    _skip_inactive_student(stack, teacher)
    _leave_paused_settlement(stack, teacher)
    _delete_with_places(stack, teacher)
    _delete_twice(stack, teacher)


def _give_places_on(stack: RunningStack, teacher: Actor) -> None:
    course = teacher.create_course(capacity=1, waitlist=5)
    first, second, third = (register(stack.api, "student") for _ in range(3))
    first.enroll_in(course)
    entries = [_wait(student, course) for student in (second, third)]
    for actor, path in (
        (first, f"/courses/{course['id']}/places/"),
        (second, "/waitlist/"),
        (second, f"/waitlist/{entries[0]}/"),
        (teacher, f"/waitlist/?course={course['id']}"),
    ):
        assert actor.get(path).ok, path
    assert second.call("DELETE", f"/waitlist/{entries[0]}/").status_code == 204
    _leave(first, course)
    eventually(lambda: third.get("/enrollments/").json()["results"], _WORKER_SECONDS)
    assert third.call("DELETE", f"/enrollments/{entries[1]}/").status_code == 204
    assert teacher.call("PATCH", f"/courses/{course['id']}/", json={"capacity": 2}).ok
    _draw_number(stack, course)
    _request_settlement(stack, course)


def _lose_entry(stack: RunningStack, teacher: Actor) -> None:
    """Let the worker find a number whose waiting entry does not exist."""
    course, first, second = _full_course(stack, teacher)
    _delete_row(stack, course, second)
    _leave(first, course)


def _skip_inactive_student(stack: RunningStack, teacher: Actor) -> None:
    """Let the worker find that the student who waits may not enroll any more."""
    course, first, second = _full_course(stack, teacher)
    stack.aws("dynamodb").update_item(
        TableName="eduflow-users-local",
        Key={"id": {"S": user_id_of(second)}},
        UpdateExpression="SET is_active = :inactive",
        ExpressionAttributeValues={":inactive": {"BOOL": False}},
    )
    _leave(first, course)


def _leave_paused_settlement(stack: RunningStack, teacher: Actor) -> None:
    """Leave numbers that the cleanup finds unsettled, because the course is a draft."""
    course, first, _ = _full_course(stack, teacher)
    assert teacher.call("PATCH", f"/courses/{course['id']}/", json={"is_published": False}).ok
    _leave(first, course)


def _delete_with_places(stack: RunningStack, teacher: Actor) -> None:
    """Delete a course with an enrolled and a waiting student, and the accounts of two students of another."""
    doomed, *_ = _full_course(stack, teacher)
    course, enrolled, waiting = _full_course(stack, teacher)
    _request_settlement(stack, course)
    for actor in (waiting, enrolled):
        assert actor.call("DELETE", "/auth/me/").status_code == 204
    assert teacher.call("DELETE", f"/courses/{doomed['id']}/").status_code == 204


def _delete_twice(stack: RunningStack, teacher: Actor) -> None:
    """Let the deletion worker find that an enrollment is deleted while it deletes it."""
    course, student = teacher.create_course(capacity=1), register(stack.api, "student")
    student.enroll_in(course)
    user_id, row = user_id_of(student), _key(course, student)
    assert student.call("DELETE", "/auth/me/").status_code == 204
    functions, dynamodb = stack.aws("lambda"), stack.aws("dynamodb")
    variables = functions.get_function_configuration(FunctionName=_DELETIONS)["Environment"]["Variables"]
    proxy = FaultyAws(stack.aws_url)

    def delete_first(call: Call) -> Fault | None:
        if call.operation == "TransactWriteItems":
            dynamodb.delete_item(TableName="eduflow-enrollments-local", Key=row)
        return None

    proxy.rule = delete_first
    changed = variables | {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url}
    functions.update_function_configuration(FunctionName=_DELETIONS, Environment={"Variables": changed})
    body = json.dumps({"target": "user", "id": user_id, "request_id": "tour"})
    event = {"Records": [{"messageId": "tour", "body": body, "receiptHandle": "tour"}]}
    try:
        functions.invoke(FunctionName=_DELETIONS, Payload=json.dumps(event))
        assert "Item" not in dynamodb.get_item(TableName="eduflow-enrollments-local", Key=row)
    finally:
        functions.update_function_configuration(FunctionName=_DELETIONS, Environment={"Variables": variables})
        proxy.close()


def _full_course(stack: RunningStack, teacher: Actor) -> tuple[dict[str, Any], Actor, Actor]:
    """Return a course with one place, the student who has it, and one who waits."""
    course = teacher.create_course(capacity=1, waitlist=1)
    enrolled, waiting = (register(stack.api, "student") for _ in range(2))
    enrolled.enroll_in(course)
    _wait(waiting, course)
    return course, enrolled, waiting


def _leave(student: Actor, course: dict[str, Any]) -> None:
    """Let a student leave their only course."""
    [enrollment] = student.get("/enrollments/").json()["results"]
    assert enrollment["course"] == course["id"]
    assert student.call("DELETE", f"/enrollments/{enrollment['id']}/").status_code == 204


def _wait(student: Actor, course: dict[str, Any]) -> str:
    """Let a student wait for a place in a full course, and return the ID of the entry."""
    response = student.post("/enrollments/", {"course": course["id"], "wait": True})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def _draw_number(stack: RunningStack, course: dict[str, Any]) -> None:
    """Draw a number without using it, as a request that dies."""
    stack.aws("dynamodb").update_item(
        TableName="eduflow-place-counters-local",
        Key={"course": {"S": course["id"]}},
        UpdateExpression="ADD drawn :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def _request_settlement(stack: RunningStack, course: dict[str, Any]) -> None:
    stack.send_message("waitlist", {"course": course["id"], "void_through": "0", "request_id": "tour"})


def _delete_row(stack: RunningStack, course: dict[str, Any], student: Actor) -> None:
    stack.aws("dynamodb").delete_item(TableName="eduflow-enrollments-local", Key=_key(course, student))


def _key(course: dict[str, Any], student: Actor) -> dict[str, Any]:
    return {"student": {"S": user_id_of(student)}, "course": {"S": course["id"]}}
