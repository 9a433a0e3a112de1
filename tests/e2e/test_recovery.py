"""The local stack recovers: from the death of all its Lambda processes, and of its Valkey."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from requests import Response

from tests.clients import Actor, register
from tests.stack import RunningStack
from tests.waiting import eventually

RECOVERY_SECONDS = 3


@pytest.fixture
def running(own_copy: RunningStack) -> Iterator[RunningStack]:
    own_copy.start()
    yield own_copy
    own_copy.stop()


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
