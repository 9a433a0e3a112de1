"""The API under faults: the responses, their durations, and effects that are missing or doubled."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from requests import Response

from infra.local_stage import DEMO_PASSWORD
from tests.clients import PASSWORD, Actor, log_in, register, unique
from tests.fault_injection.proxy import Fault, Rule
from tests.fault_injection.rules import (
    READS,
    WRITES,
    always,
    calls,
    healthy,
    indexes_lag,
    of_indexes,
    of_services,
    of_table,
    some,
)
from tests.fault_injection.school import School, in_parallel

# A request waits for less than 3; a busy machine, and measuring the coverage of functions, add to its calls.
MAX_SECONDS = 10 if "FUNCTION_COVERAGE" in os.environ else 5


@dataclass
class Row:
    """The results of one operation under one fault."""

    fault: str
    operation: str
    statuses: str
    slowest: float
    wrong: int
    """Responses with another status than allowed, and effects that are missing or doubled."""

    @property
    def is_good(self) -> bool:
        return not self.wrong and self.slowest < MAX_SECONDS


@dataclass
class Operation:
    """One request, the status of its success, and how often its effect is there afterwards."""

    name: str
    request: Callable[[int], Response]
    status: int
    effects: Callable[[int], int] = field(default=lambda number: -1)


SUCCESS, BUSY, ERROR = "success", "429", "5xx"
# What each fault does, and which responses are right under it.
FAULT_RULES: dict[str, tuple[Callable[[], Rule], set[str]]] = {
    "none": (lambda: healthy, {SUCCESS}),
    "reads_throttled": (lambda: always(Fault.TABLE_THROTTLED, calls(*READS)), {SUCCESS, BUSY}),
    "writes_throttled": (lambda: always(Fault.TABLE_THROTTLED, calls(*WRITES)), {SUCCESS, BUSY}),
    "every_second_call_throttled": (lambda: some(2, calls(*READS, *WRITES), Fault.TABLE_THROTTLED), {SUCCESS}),
    "users_throttled": (lambda: always(Fault.PART_THROTTLED, of_table("users")), {SUCCESS, BUSY}),
    "enrollments_throttled": (lambda: always(Fault.PART_THROTTLED, of_table("enrollments")), {SUCCESS, BUSY}),
    "index_throttled": (lambda: always(Fault.TABLE_THROTTLED, of_indexes()), {SUCCESS, BUSY}),
    "indexes_lag": (lambda: indexes_lag, {SUCCESS}),
    "conflicts": (lambda: some(2, calls(*WRITES), Fault.CONFLICT), {SUCCESS}),
    "lasting_conflicts": (lambda: always(Fault.CONFLICT, calls(*WRITES)), {SUCCESS, BUSY}),
    "writes_repeated": (lambda: always(Fault.THRICE, calls("TransactWriteItems")), {SUCCESS}),
    "every_third_response_lost": (lambda: some(3, calls(*READS, *WRITES), Fault.LOST), {SUCCESS, ERROR}),
    "half_of_the_responses_lost": (lambda: some(2, calls(*READS, *WRITES), Fault.LOST), {SUCCESS, ERROR}),
    "every_third_call_fails": (lambda: some(3, calls(*READS, *WRITES), Fault.REFUSED), {SUCCESS}),
    "sqs_fails": (lambda: always(Fault.REFUSED, of_services("sqs")), {SUCCESS}),
    "sqs_down": (lambda: always(Fault.UNREACHABLE, of_services("sqs")), {SUCCESS}),
}
FAULTS = [*FAULT_RULES]


def run(school: School, number: int, fault: str) -> list[Row]:
    """Run all operations under one fault."""
    school.end_faults()
    school.route_through_proxy("api_handler")
    if fault == "indexes_lag":
        school.lag(hours=1)
    rule, allowed = FAULT_RULES[fault]
    rows = []
    for operation in _operations(school, number):
        school.aws.rule = rule()
        try:
            rows.append(_run(fault, operation, number, allowed, school))
        finally:
            school.end_faults()
    return rows


def _run(fault: str, operation: Operation, number: int, allowed: set[str], school: School) -> Row:
    responses = in_parallel(operation.request, range(number))
    # Its own duration: the local AWS lets requests wait for a free function, too.
    durations = [float(response.headers.get("X-Response-Time-ms", 0)) / 1000 for response in responses]
    school.end_faults()
    wrong = 0
    for index, response in enumerate(responses):
        is_success = response.status_code == operation.status
        kind = SUCCESS if is_success else BUSY if response.status_code == 429 else ERROR
        is_right = kind in allowed and (kind != BUSY or "Retry-After" in response.headers)
        effects = operation.effects(index)
        is_known = kind != ERROR  # after an error, the client does not know the outcome
        wrong += not (is_right and effects in ((-1, int(is_success)) if is_known else (-1, 0, 1)))
    statuses = Counter(response.status_code for response in responses)
    shown = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    return Row(fault, operation.name, shown, round(max(durations), 1), wrong)


def _operations(school: School, number: int) -> list[Operation]:
    api = school.stack.api
    school.stack.reset_throttling()
    teacher, anonymous = register(api, "instructor"), Actor(api)
    course = teacher.create_course()
    edited = [teacher.create_course() for _ in range(number)]
    students = [register(api, "student") for _ in range(number)]
    sessions = [
        anonymous.post("/auth/login/", {"username": student.username, "password": PASSWORD}).json()
        for student in students
    ]
    names, titles = [unique("new") for _ in range(number)], [unique("Title") for _ in range(number)]
    admin = log_in(api, "admin", DEMO_PASSWORD)
    ids = {row["username"]["S"]: row["id"]["S"] for row in school.rows("users") if "username" in row}
    promoted = [ids[student.username] for student in students]

    def sign_up(index: int) -> Response:
        account = {"username": names[index], "email": f"{names[index]}@example.org", "password": PASSWORD}
        return anonymous.post("/auth/register/", account)

    def count(table: str, attribute: str, value: str) -> int:
        return sum(row.get(attribute, {}).get("S") == value for row in school.rows(table))

    def change_role(index: int) -> Response:
        return admin.call("PATCH", f"/users/{promoted[index]}/", json={"role": "instructor"})

    def entries(index: int) -> int:
        """Return the number of entries of the audit log, or -9 if it is not that of the changed roles."""
        changed = [row["role"]["S"] for row in school.rows("users") if row["id"]["S"] == promoted[index]]
        number = count("audit", "subject", promoted[index])
        return number if [number] == [int(role == "instructor") for role in changed] else -9

    def enrolled(index: int) -> int:
        return count("enrollments", "student", ids[students[index].username])

    return [
        Operation("read a course", lambda index: anonymous.get(f"/courses/{edited[index]['id']}/"), 200),
        Operation("list courses", lambda index: students[index].get("/courses/?limit=5"), 200),
        Operation("list all enrollments", lambda index: teacher.get("/enrollments/"), 200),
        Operation("register", sign_up, 201, lambda index: count("users", "username", names[index])),
        Operation(
            "log in",
            lambda index: anonymous.post("/auth/login/", {"username": students[index].username, "password": PASSWORD}),
            200,
        ),
        Operation(
            "refresh", lambda index: anonymous.post("/auth/refresh/", {"refresh": sessions[index]["refresh"]}), 200
        ),
        Operation(
            "create a course",
            lambda index: teacher.post("/courses/", {"title": titles[index], "is_published": True}),
            201,
            lambda index: count("courses", "title", titles[index]),
        ),
        Operation(
            "edit a course",
            lambda index: teacher.call("PATCH", f"/courses/{edited[index]['id']}/", json={"title": "New words"}),
            200,
        ),
        Operation(
            "enroll", lambda index: students[index].post("/enrollments/", {"course": course["id"]}), 201, enrolled
        ),
        Operation("change a role", change_role, 200, entries),
    ]
