"""Many students enroll in one course at once: seconds here, minutes in `make test-long`."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients import Actor, register
from tests.stack import RunningStack
from tests.waiting import eventually

CLIENTS = 20


@pytest.mark.parametrize(
    "seconds", [5, pytest.param(180, marks=[pytest.mark.long, pytest.mark.timeout(600)])], ids=["short", "long"]
)
def test_opening_hour_loses_no_enrollment_and_no_email(stack: RunningStack, teacher: Actor, seconds: int) -> None:
    course = teacher.create_course(title="Opening hour")
    end = time.monotonic() + seconds

    def one_client(_: int) -> tuple[list[str], Counter[int]]:
        addresses, statuses = [], Counter[int]()
        while time.monotonic() < end:
            student = register(stack.api, "student")
            responses = [
                student.get("/courses/"),
                student.get(f"/courses/{course['id']}/"),
                student.post("/enrollments/", {"course": course["id"]}),
                student.post("/enrollments/", {"course": course["id"]}),
            ]
            statuses.update(response.status_code for response in responses)
            addresses.append(f"{student.username}@example.org")
        return addresses, statuses

    with ThreadPoolExecutor(CLIENTS) as pool:
        results = [*pool.map(one_client, range(CLIENTS))]

    students = [address for addresses, _ in results for address in addresses]
    statuses = sum((found for _, found in results), Counter[int]())
    assert statuses == {200: 2 * len(students), 201: len(students), 409: len(students)}
    eventually(lambda: len(stack.emails("Opening hour")) >= len(students), 60 + seconds)
    assert Counter(mail["To"][0] for mail in stack.emails("Opening hour")) == Counter(students)
