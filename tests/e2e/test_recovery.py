"""The API under bad conditions of Lambda: all processes killed, Valkey killed, ten concurrent executions."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from requests import Response

from chalicelib.adapters import sqs
from chalicelib.models.enrollments import Enrollment
from tests.clients import Actor, register
from tests.stack import RunningStack
from tests.waiting import eventually

RECOVERY_SECONDS = 3
LIMITS = {"": 5, "-authorizer": 3, "-emails": 2}  # of concurrent executions


@pytest.fixture
def running(stack: RunningStack) -> Iterator[RunningStack]:
    """The stack with its cache in use and no throttles, and without the test's limits afterwards."""
    stack.reset_throttling()
    stack.use_cache_again()
    yield stack
    for function in LIMITS:
        stack.aws("lambda").delete_function_concurrency(FunctionName=f"eduflow-local{function}")
    stack.reset_throttling()


def test_killed_functions_are_replaced(running: RunningStack) -> None:
    course = register(running.api, "instructor").create_course()
    students = [register(running.api, "student") for _ in range(6)]
    end, answers = threading.Event(), list[tuple[float, Response]]()

    def read_write_and_enroll(student: Actor) -> None:
        while not end.is_set():
            for method, path in (("GET", "/courses/"), ("POST", "/enrollments/"), ("PATCH", "/auth/me/")):
                begun = time.monotonic()
                response = student.call(method, path, json={"course": course["id"]} if method == "POST" else {})
                answers.append((begun, response))

    threads = [threading.Thread(target=read_write_and_enroll, args=(student,)) for student in students]
    for thread in threads:
        thread.start()
    time.sleep(2)
    answers.clear()
    killed = running.send_signal("_worker.py", signal.SIGKILL)
    died = time.monotonic()
    time.sleep(3 * RECOVERY_SECONDS)
    end.set()
    for thread in threads:
        thread.join()

    failures = [(begun - died, response) for begun, response in answers if response.status_code >= 500]
    late = [begun - died for begun, _ in answers if begun - died > RECOVERY_SECONDS]
    statuses = Counter(response.status_code for _, response in answers)
    last = max((at for at, _ in failures), default=0.0)
    print(f"{killed} killed; {statuses}; last failure after {last:.1f} s; {len(late)} later")
    assert killed >= 2
    assert all(at < RECOVERY_SECONDS for at, _ in failures)
    assert len(late) > len(students), "requests are answered again"
    for _, response in failures:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["detail"] == "Internal server error."


def test_killed_valkey_is_started_again(running: RunningStack) -> None:
    teacher = register(running.api, "instructor")
    course = teacher.create_course()

    def served() -> str:
        return str(teacher.get(f"/courses/{course['id']}/").headers["X-Cache"])

    eventually(lambda: served() == "hit", 10)
    assert running.send_signal("valkey-server", signal.SIGKILL) == 1

    eventually(lambda: served() == "hit", 10)


def test_ten_concurrent_executions_are_429s_only(running: RunningStack) -> None:
    """A new account's limit. Each of the 100 requests has its own token, so that the authorizer is throttled, too."""
    course = register(running.api, "instructor").create_course()
    students = [register(running.api, "student") for _ in range(100)]
    for function, limit in LIMITS.items():
        running.aws("lambda").put_function_concurrency(
            FunctionName=f"eduflow-local{function}", ReservedConcurrentExecutions=limit
        )
    with ThreadPoolExecutor(len(students)) as pool:
        responses = [*pool.map(lambda student: student.post("/enrollments/", {"course": course["id"]}), students)]
        answered = zip(students, responses, strict=True)
        refused = [student for student, response in answered if response.status_code == 429]
        retried = [*pool.map(lambda student: enroll_with_retries(student, course["id"]), refused)]

    statuses = Counter(response.status_code for response in responses)
    print(f"{statuses} at once")
    assert set(statuses) == {201, 429}
    for response in responses:
        if response.status_code == 429:
            assert response.headers["Retry-After"] == "1"
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["detail"] == "The service is at its limit. Retry later."
    assert set(retried) == {201}
    eventually(lambda: all(has_failed(running, email) for email in pending_emails(running, course["id"])), 120)
    failed = pending_emails(running, course["id"])
    print(f"{len(failed)} emails are requested again")
    for email in failed:
        request_email(running, email)
    eventually(lambda: not pending_emails(running, course["id"]), 60)
    assert len(running.emails(course["title"])) == len(students)


def pending_emails(stack: RunningStack, course: str) -> list[Enrollment]:
    """Return the enrollments whose email is not sent yet."""
    scan = stack.aws("dynamodb").get_paginator("scan")
    pages = scan.paginate(
        TableName=f"eduflow-enrollments-{stack.stage}",
        FilterExpression="course = :course AND attribute_exists(email_pending)",
        ExpressionAttributeValues={":course": {"S": course}},
        ConsistentRead=True,
    )
    return [Enrollment.from_raw_data(row) for page in pages for row in page["Items"]]


def has_failed(stack: RunningStack, email: Enrollment) -> bool:
    """Return whether the log names an email whose message was not accepted or whose delivery failed."""
    failures = ("SQS did not accept a message", "Email failed")
    return any(email.id in line for line in stack.output().splitlines() if any(words in line for words in failures))


def request_email(stack: RunningStack, email: Enrollment) -> None:
    """Request an email again, as the cleanup does after 45 minutes.

    An overloaded SQS may not have accepted the message, and a failed message is delivered again after six minutes.
    """
    stack.send_message("emails", sqs.email_message(email.email_kind, email.id, email.request_id))


def enroll_with_retries(student: Actor, course: str) -> int:
    """Retry after a 429, from one to two seconds later, as a client does that respects Retry-After."""
    for _ in range(60):
        response = student.post("/enrollments/", {"course": course})
        if response.status_code != 429:
            return response.status_code
        time.sleep(random.uniform(1, 2))
    return 429
