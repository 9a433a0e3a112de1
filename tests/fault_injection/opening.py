"""The opening hour of a course with ten places: all students join at once, and then some leave."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.growth import measured_usage
from tests.clients import Actor
from tests.fault_injection.places import clients_of, settled_school
from tests.fault_injection.proxy import Call, Fault
from tests.fault_injection.school import EMAILS, WAITLIST, School, create_students, create_teacher

CAPACITY, CLIENTS = 10, 50
LONGEST = 120
FAULTS = ["none"]


@dataclass
class Row:
    """The results of one opening hour."""

    students: int
    statuses: str
    seconds: float
    slowest: float
    """The longest time until a response, in seconds: on this machine, requests wait for each other."""
    calls: float
    """Calls to DynamoDB for each join."""
    messages: float
    """Messages to queues for each join."""
    enroll: str
    """Read and write units of a join that enrolls the student."""
    wait: str
    """The same of one that adds the student to the waitlist."""
    left: int
    """Students who left, all at once."""
    promoted: float
    """Seconds until as many others were enrolled, and their emails sent."""
    wrong: int
    """Other statuses than 201, 202 and 204, and students who are not enrolled in order."""

    @property
    def is_good(self) -> bool:
        return not self.wrong


def run(school: School, number: int, fault: str) -> list[Row]:
    """Let ``number`` students join, and half of those who got a place leave."""
    with settled_school(school):
        school.route_through_proxy("place_settlement", school.front)  # only the calls of the API are counted
        callers, owner = create_students(number), create_teacher()
        [owning] = clients_of(school, [owner])
        course = owning.create_course(capacity=CAPACITY, waitlist=number)["id"]
        students = clients_of(school, callers)
        calls = Counter[str]()
        school.aws.rule = lambda call: _count(call, calls)
        durations: list[float] = []

        def join(student: Actor) -> Any:
            begun = time.monotonic()
            response = student.post("/enrollments/", {"course": course, "wait": True})
            durations.append(time.monotonic() - begun)
            return response

        begun = time.monotonic()
        responses = _in_threads(join, students)
        seconds = time.monotonic() - begun
        school.end_faults()
        statuses = Counter(response.status_code for response in responses)
        school.wait_until_empty(EMAILS, LONGEST)
        left, promoted = _leave(school, course, list(zip(students, responses, strict=True)))
        messages = calls.pop("SendMessage", 0)
        return [
            Row(
                students=number,
                statuses=", ".join(f"{count} × {status}" for status, count in sorted(statuses.items())),
                seconds=round(seconds, 1),
                slowest=round(max(durations), 1),
                calls=round(calls.total() / number, 1),
                messages=round(messages / number, 2),
                left=left,
                promoted=round(promoted, 1),
                wrong=abs(statuses[201] - CAPACITY)
                + abs(statuses[202] - number + CAPACITY)
                + _misplaced(school, course),
                **_units(),
            )
        ]


def _count(call: Call, calls: Counter[str]) -> Fault | None:
    if call.operation not in ("GetQueueUrl", "") and call.table != "cache-state":
        calls[call.operation] += 1
    return None


def _leave(school: School, course: str, joined: list[tuple[Actor, Any]]) -> tuple[int, float]:
    """Let half of those with a place leave; return how many did, and the seconds until the next ones are enrolled."""
    leavers = [(student, response.json()) for student, response in joined if response.status_code == 201]
    leavers = leavers[: CAPACITY // 2]
    begun, before = time.monotonic(), school.emails().total()
    _in_threads(lambda one: one[0].call("DELETE", f"/enrollments/{one[1]['id']}/"), leavers)
    while school.emails().total() < before + len(leavers) and time.monotonic() < begun + LONGEST:
        time.sleep(0.1)
    promoted = time.monotonic() - begun
    school.wait_until_empty(WAITLIST, LONGEST)
    school.wait_until_empty(EMAILS, LONGEST)
    return len(leavers), promoted


def _misplaced(school: School, course: str) -> int:
    """Return how many students are enrolled or wait although others came before or after them."""
    rows = [row for row in school.rows("enrollments") if row["course"]["S"] == course]
    rows.sort(key=lambda row: int(row["place_number"]["N"]))
    return sum(("sort_key" in row) != (index < CAPACITY) for index, row in enumerate(rows))


def _units() -> dict[str, str]:
    """Return the units of one join of each kind, in this process."""
    from chalicelib.services import courses, enrollments

    fields = {"title": "Units", "description": "", "price_cents": 0, "is_published": True}
    course = courses.create(create_teacher(), fields | {"capacity": 1, "waitlist": 1}).id
    units = {}
    for name, student in zip(("enroll", "wait"), create_students(2), strict=True):
        with measured_usage() as usage:
            enrollments.enroll_or_wait(student, course)
        units[name] = f"{usage.reads:g} + {usage.writes:g}"
    return units


def _in_threads(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return [*pool.map(work, items)]
