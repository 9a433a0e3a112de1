"""Each function's policy allows exactly the calls that the function makes.

What the functions of the tests' stack called is noted as they do; what no other test may have made
them do, this one does. It comes last, to see all of it.
"""

import contextlib
import json
import signal
from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import pytest

from devstack import iam_recorder
from infra.config import PROJECT
from tests.clients import PASSWORD, Actor, log_in, register, unique
from tests.e2e import email_tour, place_tour
from tests.e2e.email_tour import LONG_AGO
from tests.moto_iam import Role, moto_with_resources
from tests.stack import RunningStack
from tests.waiting import eventually

WORKERS_NEED = 120

FUNCTIONS = {
    "eduflow-local": "api",
    "eduflow-local-authorizer": "authorizer",
    "eduflow-local-cleanup": "cleanup",
    "eduflow-local-daily_report": "daily_report",
    "eduflow-local-cascade_deletions": "cascade_deletions",
    "eduflow-local-place_settlement": "place_settlement",
    "eduflow-local-emails": "emails",
}
LAMBDAS_OWN = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
"""The calls that Lambda makes with a function's role: it polls the queue and writes the log."""

Right = tuple[str, str]


def document(policy: str) -> dict[str, Any]:
    text = (PROJECT / ".chalice" / f"policy-{policy}.json").read_text()
    found: dict[str, Any] = json.loads(text.replace("${stage}", "local").replace("${sender}", "eduflow@example.org"))
    return found


def granted(policy: str) -> set[Right]:
    """Return the pairs of action and resource that a policy allows."""
    return {
        (action, resource.split(":", 5)[5])
        for statement in document(policy)["Statement"]
        for action, resource in product(statement["Action"], statement["Resource"])
        if not action.startswith("logs:")
    }


def called(stack: RunningStack, function: str) -> set[Right]:
    lines = (stack.folder / ".local" / iam_recorder.FILE).read_text().splitlines()
    return {(line.split()[1], line.split()[2]) for line in lines if line.split()[0] == function}


def missing(rights: set[Right], used: set[Right]) -> set[Right]:
    return {(action, on) for action, on in used if not any(action == a and fnmatchcase(on, r) for a, r in rights)}


def unused(rights: set[Right], used: set[Right]) -> set[Right]:
    return {
        (action, resource)
        for action, resource in rights
        if action not in LAMBDAS_OWN and not any(action == a and fnmatchcase(on, resource) for a, on in used)
    }


@pytest.fixture(scope="module")
def toured(stack: RunningStack) -> RunningStack:
    """The stack after its functions made every call that they can make."""
    admin = log_in(stack.api, "admin", "learn-with-eduflow")
    _call_the_api(stack, admin)
    _lose_and_leave(stack, admin)
    email_tour.recover_account(stack)
    email_tour.give_email_up(stack)
    place_tour.use_places(stack)
    _lose_the_cache(stack)
    email_tour.add_report_reader(stack)
    _count_last_day_in_part(stack)
    _forget_last_report(stack)
    _invoke(stack, "daily_report")
    email_tour.forget_email_sweeps(stack)
    _invoke(stack, "cleanup")

    def all_used() -> bool:
        return not any(unused(granted(policy), called(stack, function)) for function, policy in FUNCTIONS.items())

    with contextlib.suppress(AssertionError):  # the tests below report unused permissions
        eventually(all_used, WORKERS_NEED)
    return stack


def _call_the_api(stack: RunningStack, admin: Actor) -> None:
    """Make the calls that no other test is sure to make."""
    api = stack.api
    teacher, student = register(api, "instructor"), register(api, "student")
    course = teacher.create_course(title="A tour", lessons_for="enrolled")
    draft = teacher.create_course(is_published=False)
    lesson = teacher.post("/lessons/", {"course": course["id"], "title": "A lesson"}).json()
    for path, change in (
        (f"/courses/{course['id']}/", {"title": "New"}),
        (f"/lessons/{lesson['id']}/", {"title": "A new title"}),
    ):
        assert teacher.call("PATCH", path, json=change).ok
    enrollment = student.enroll_in(course)
    for course_id, status in ((draft["id"], 201), ("0" * 16, 400)):
        key = {"Idempotency-Key": f"tour-{course_id}"}
        response = teacher.post("/lessons/", {"course": course_id, "title": "Once"}, headers=key)
        assert response.status_code == status
    for actor, path in (
        (student, "/courses/?search=new"),
        (student, "/lessons/"),
        (student, "/enrollments/"),
        (student, "/auth/me/export/"),
        (teacher, "/auth/me/export/"),
        (teacher, f"/enrollments/?course={course['id']}"),
        (teacher, f"/lessons/?course={course['id']}"),
        (admin, "/enrollments/"),
        (admin, "/users/"),
        (admin, "/reports/daily/"),
        (admin, "/audit/"),
        (admin, "/audit/?actor=operator"),
    ):
        assert actor.get(path).ok, path
    assert student.call("DELETE", f"/enrollments/{enrollment['id']}/").status_code == 204
    for one in (f"/lessons/{lesson['id']}/", f"/courses/{draft['id']}/"):
        assert teacher.call("DELETE", one).status_code == 204
    assert student.call("PATCH", "/auth/me/", json={"email": f"{unique('new')}@example.org"}).ok
    for _ in range(11):  # the last one is not looked at any more
        wrong = api.call("POST", "/auth/login/", json={"username": student.username, "password": "wrong"})
    assert wrong.status_code == 429
    for row in stack.aws("dynamodb").scan(TableName="eduflow-throttles-local", ConsistentRead=True)["Items"]:
        stack.aws("dynamodb").update_item(
            TableName="eduflow-throttles-local",
            Key={"subject": row["subject"]},
            UpdateExpression="SET expires_at = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )
    student.enroll_in(course)  # reads and deletes the window that is over
    tokens = api.call("POST", "/auth/login/", json={"username": teacher.username, "password": PASSWORD}).json()
    for _ in range(2):  # the second time, the token was rotated
        fresh = api.call("POST", "/auth/refresh/", json={"refresh": tokens["refresh"]}).json()
    assert api.call("POST", "/auth/logout/", json={"refresh": fresh["refresh"]}).ok
    assert student.call("DELETE", "/auth/me/").status_code == 204


def _lose_and_leave(stack: RunningStack, admin: Actor) -> None:
    """Create work for the cleanup: a lost email, an old tombstone, and a student who is inactive for long."""
    api, dynamodb = stack.api, stack.aws("dynamodb")
    teacher, student, inactive, erased = (register(api, role) for role in ("instructor", *["student"] * 3))
    course, doomed, empty = teacher.create_course(), teacher.create_course(), teacher.create_course()
    teacher.post("/lessons/", {"course": doomed["id"], "title": "Doomed"})
    erased.enroll_in(doomed)
    student.enroll_in(course)
    inactive.enroll_in(course)
    names = {actor: actor.get("/auth/me/").json()["id"] for actor in (student, inactive, erased, teacher)}
    row = {"student": {"S": names[student]}, "course": {"S": course["id"]}}
    # Once the worker has recorded it as sent: it would else do so after the change below.
    eventually(
        lambda: (
            "email_pending"
            not in dynamodb.get_item(TableName="eduflow-enrollments-local", Key=row, ConsistentRead=True)["Item"]
        )
    )
    _change(dynamodb, "enrollments", {"student": names[student], "course": course["id"]}, email_pending="0", sort_key=(
        f"2026-01-01T00:00:00.000000Z#{names[student]}{course['id']}"
    ))  # fmt: skip
    assert admin.call("PATCH", f"/users/{names[inactive]}/", json={"is_active": False}).ok
    _change(dynamodb, "users", {"id": names[inactive]}, lifecycle_at=LONG_AGO)
    for one in (doomed, empty):
        assert teacher.call("DELETE", f"/courses/{one['id']}/").status_code == 204
        _change(dynamodb, "courses", {"id": one["id"]}, deleted_at=LONG_AGO)
    draft_owner = register(api, "instructor")
    draft_owner.create_course(is_published=False)
    leaving = draft_owner.get("/auth/me/").json()["id"]
    for actor, user in ((erased, names[erased]), (draft_owner, leaving)):
        assert actor.call("DELETE", "/auth/me/").status_code == 204
        _change(dynamodb, "users", {"id": user}, deleted_at=LONG_AGO, lifecycle_at=LONG_AGO)
    email_tour.owe_email(stack, names[teacher], LONG_AGO)
    email_tour.owe_email(stack, leaving)
    stack.send_message("deletions", {"target": "user", "id": "0" * 16, "request_id": "tour"})


def _lose_the_cache(stack: RunningStack) -> None:
    """Let the API and the deletion worker write a course while the cache does not respond."""
    owner = register(stack.api, "instructor")
    owner.create_course(is_published=False)
    user = owner.get("/auth/me/").json()["id"]
    teacher = register(stack.api, "instructor")
    switched_off = ("dynamodb:PutItem", "table/eduflow-cache-state-local")

    def writes(function: str, write: Callable[[], object]) -> None:
        stack.use_cache_again()
        stack.send_signal("valkey-server", signal.SIGSTOP)
        try:
            write()
            eventually(lambda: switched_off in called(stack, function), WORKERS_NEED)
        finally:
            stack.send_signal("valkey-server", signal.SIGCONT)
            stack.use_cache_again()

    writes("eduflow-local", teacher.create_course)
    assert owner.call("DELETE", "/auth/me/").status_code == 204
    message = {"target": "user", "id": user, "request_id": "tour"}
    writes("eduflow-local-cascade_deletions", lambda: stack.send_message("deletions", message))


def _count_last_day_in_part(stack: RunningStack) -> None:
    """Leave the count of a run that had too little time."""
    dynamodb = stack.aws("dynamodb")
    day = max(str(row["date"]["S"]) for row in dynamodb.scan(TableName="eduflow-reports-local")["Items"])
    key = {"period": {"S": "partial-count"}, "date": {"S": day}}
    dynamodb.put_item(
        TableName="eduflow-reports-local",
        Item=key | {"position": {"S": f"{day}T00:00:00.000000Z"}, "number": {"N": "0"}},
    )


def _change(dynamodb: Any, table: str, key: dict[str, str], **values: str) -> None:
    names = {f"#{number}": name for number, name in enumerate(values)}
    dynamodb.update_item(
        TableName=f"eduflow-{table}-local",
        Key={name: {"S": value} for name, value in key.items()},
        UpdateExpression="SET " + ", ".join(f"#{number} = :{number}" for number in range(len(values))),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={f":{number}": {"S": value} for number, value in enumerate(values.values())},
    )


def _forget_last_report(stack: RunningStack) -> None:
    dynamodb = stack.aws("dynamodb")
    rows = dynamodb.scan(TableName="eduflow-reports-local")["Items"]
    newest = max((row for row in rows if row["period"]["S"] == "daily"), key=lambda row: str(row["date"]["S"]))
    dynamodb.delete_item(TableName="eduflow-reports-local", Key={"period": newest["period"], "date": newest["date"]})


def _invoke(stack: RunningStack, function: str) -> None:
    event = dict.fromkeys(("version", "account", "region", "detail-type", "source", "time", "id"), "")
    stack.aws("lambda").invoke(
        FunctionName=f"eduflow-local-{function}", Payload=json.dumps(event | {"detail": {}, "resources": []})
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_policy_grants_exactly_the_calls_of_its_function(toured: RunningStack, function: str) -> None:
    rights, used = granted(FUNCTIONS[function]), called(toured, function)

    assert not missing(rights, used), f"It may not: {sorted(missing(rights, used))}"
    assert not unused(rights, used), f"It never does: {sorted(unused(rights, used))}"


NEVER = {
    ("dynamodb:DeleteTable", "table/eduflow-users-local"),
    ("dynamodb:Scan", "table/eduflow-users-local"),
    ("dynamodb:GetItem", "table/eduflow-users-prod"),
    ("secretsmanager:DeleteSecret", "secret:eduflow/local/signing-keys-xxxxxx"),
    ("sqs:PurgeQueue", "deletions"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_moto_allows_only_the_calls_of_each_function(toured: RunningStack, function: str) -> None:
    """Without SES, because moto does not implement the condition of its statement."""
    used = {right for right in called(toured, function) if not right[0].startswith("ses:")}
    everything = {right for other in FUNCTIONS for right in called(toured, other) if not right[0].startswith("ses:")}
    rights = granted(FUNCTIONS[function])
    with moto_with_resources():
        role = Role(function, document(FUNCTIONS[function]))
        denied = {right for right in used if not role.may(*right)}
        allowed = {right for right in missing(rights, everything | NEVER) if role.may(*right)}

    assert used
    assert not denied
    assert not allowed
