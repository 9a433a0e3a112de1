"""Places under faults: never more students than places, and none free while students wait, who come in order.

Clients join, leave and change the capacity through the gateway. The API and the worker that settles places call AWS
through the proxy.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests

from tests.clients import Actor
from tests.fault_injection.email_faults import MAX_HOURS
from tests.fault_injection.proxy import Call, Fault, Rule
from tests.fault_injection.rules import (
    WRITES,
    always,
    calls,
    healthy,
    indexes_lag,
    is_message,
    of_services,
    some,
)
from tests.fault_injection.school import EMAILS, WAITLIST, School, create_students, create_teacher, in_parallel

LONGEST = 300
CLIENTS, STUDENTS_PER_CLIENT = 12, 2
_MAX_CAPACITY = 6
_is_write = calls(*WRITES)
_LIMITS = dict.fromkeys(("ENROLLMENTS_PER_STUDENT", "REENROLLMENTS_PER_COURSE"), "1000000")


_RARE_STEPS = {("UpdateItem", "enrollments"), ("PutItem", "places")}  # of the worker: promotions, and void numbers


@dataclass
class Row:
    """The results of a run with one fault."""

    fault: str
    requests: int
    statuses: str
    injected: int
    enrolled: int
    waiting: int
    over: int
    """How often more students were enrolled than the capacity, of the samples during the run."""
    free: int
    """Places that stayed free while students waited, and students who came in before others."""
    emails: int
    doubled: int
    """Emails without an enrollment of their own."""
    missing: int
    """Enrolled students without an email."""
    left_behind: int
    """Place numbers that are not settled, and rows of places or students without the other one."""
    wrong: int
    """Responses with a status that the fault does not explain."""

    @property
    def is_good(self) -> bool:
        return not (self.over or self.free or self.doubled or self.missing or self.left_behind or self.wrong)


class _Kills:
    """A rule that kills the caller before and after each of its steps in turn, ``times`` times at most."""

    def __init__(self, times: int) -> None:
        self._left = times
        self._met: Counter[tuple[str, str]] = Counter()

    def __call__(self, call: Call) -> Fault | None:
        if call.table == "cache-state" or call.operation in ("GetQueueUrl", ""):
            return None
        step = (call.operation, call.table)
        self._met[step] += 1
        # Not each time, so that the work continues. Reads change nothing, and kill less often.
        number, rest = divmod(self._met[step], 2 if step in _RARE_STEPS else 4 if _is_write(call) else 12)
        if rest or not self._left:
            return None
        self._left -= 1
        return Fault.KILLED_AFTER if number % 2 else Fault.KILLED_BEFORE


# What each fault does, and the statuses that it explains besides the usual ones.
_UNKNOWN = {0, 500, 502, 504}  # the client does not know whether the request was carried out; 0: no response
FAULT_RULES: dict[str, tuple[Callable[[int], Rule], set[int]]] = {
    "none": (lambda number: healthy, set()),
    "killed": (lambda number: _Kills(number // 4), _UNKNOWN),
    "conflicts": (lambda number: some(5, _is_write, Fault.CONFLICT), {429}),
    "updates_twice": (lambda number: always(Fault.TWICE, calls("UpdateItem")), set()),
    "every_third_response_lost": (lambda number: some(3, _is_write, Fault.LOST), _UNKNOWN),
    "every_third_write_fails": (lambda number: some(3, _is_write, Fault.REFUSED), _UNKNOWN),
    "messages_thrice": (lambda number: always(Fault.THRICE, is_message), set()),
    "sqs_refuses": (lambda number: some(2, is_message, Fault.REJECTED), set()),
    "sqs_down": (lambda number: always(Fault.UNREACHABLE, of_services("sqs")), set()),
    "indexes_lag": (lambda number: indexes_lag, set()),
}
FAULTS = [*FAULT_RULES]


def run(school: School, number: int, fault: str) -> list[Row]:
    """Run ``number`` requests under one fault, from a state without faults to the next one."""
    rule, explained = FAULT_RULES[fault]
    with settled_school(school):
        clients = _Clients(school)
        before = school.emails()
        if fault == "indexes_lag":
            school.lag(hours=1)
        school.aws.rule = rule(number)
        with _Samples(clients.course) as samples:
            statuses = sum(in_parallel(partial(clients.work, number // CLIENTS), range(CLIENTS)), Counter[int]())
        injected = len(school.aws.met)
        school.end_faults()
        _clean_up(school)
        return [_row(school, fault, clients, statuses, explained, injected, samples.over, before)]


@contextmanager
def settled_school(school: School) -> Iterator[None]:
    """Let the API and the worker of places call the proxy, but not the email worker, without limits of enrollments."""
    school.end_faults()
    school.route_through_proxy("api_handler", settings=_LIMITS)
    school.route_through_proxy("place_settlement")
    school.route_through_proxy("emails", school.front)
    school.set_visibility_timeout(WAITLIST, 4)
    school.set_visibility_timeout(EMAILS, 50)
    try:
        yield
    finally:
        school.end_faults()
        school.route_through_proxy("emails")
        school.set_visibility_timeout(WAITLIST, 360)
        school.set_visibility_timeout(EMAILS, 360)


def clients_of(school: School, callers: list[Any]) -> list[Actor]:
    """Return clients with tokens, which they would get by a login."""
    from tests.factories import create_token

    return [Actor(school.stack.api, caller.username, create_token(caller)) for caller in callers]


class _Clients:
    """The students, of whom each is of one client, and the teacher, whose course has a capacity."""

    def __init__(self, school: School) -> None:
        self.callers, owner = create_students(CLIENTS * STUDENTS_PER_CLIENT), create_teacher()
        self._students = clients_of(school, self.callers)
        [self._teacher] = clients_of(school, [owner])
        self.course = str(self._teacher.create_course(capacity=3, waitlist=100)["id"])

    def work(self, number: int, client: int) -> Counter[int]:
        """Make random requests, and return how many responses had each status."""
        chance, statuses = random.Random(client), Counter[int]()
        for _ in range(number):
            student = self._students[client * STUDENTS_PER_CLIENT + chance.randrange(STUDENTS_PER_CLIENT)]
            acts = [self._join] * 4 + [self._leave] * 4 + [self._resize]
            try:
                statuses[chance.choice(acts)(student, chance)] += 1
            except requests.RequestException:
                statuses[0] += 1
        return statuses

    def _join(self, student: Actor, chance: random.Random) -> int:
        return student.post("/enrollments/", {"course": self.course, "wait": chance.random() < 0.8}).status_code

    def _leave(self, student: Actor, _: random.Random) -> int:
        response = None
        for path in ("/waitlist/", "/enrollments/"):
            response = student.get(f"{path}?course={self.course}")
            if response.ok and (found := response.json()["results"]):
                return student.call("DELETE", f"{path}{found[0]['id']}/").status_code
        assert response is not None
        return response.status_code

    def _resize(self, _: Actor, chance: random.Random) -> int:
        capacity = chance.randint(1, _MAX_CAPACITY)
        return self._teacher.call("PATCH", f"/courses/{self.course}/", json={"capacity": capacity}).status_code


class _Samples:
    """Compares the number of enrolled students with the capacity, in a thread, while others change both."""

    def __init__(self, course: str) -> None:
        self.over = 0
        self._course = course
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._compare)

    def __enter__(self) -> "_Samples":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        self._thread.join()

    def _compare(self) -> None:
        from chalicelib.models.courses import Course
        from chalicelib.models.enrollments import Enrollment

        while not self._has_ended.wait(0.1):
            before = Course.find(self._course)
            enrolled = len([*Enrollment.all_of_course(self._course)])
            after = Course.find(self._course)
            assert before and after
            # A capacity that changed meanwhile is not known for the time between.
            self.over += before.version == after.version and enrolled > before.capacity


def _clean_up(school: School) -> None:
    """Work off the queues, and run the cleanups of the next hours."""
    from chalicelib.models.place_counters import PlaceCounter

    end = time.monotonic() + LONGEST
    school.wait_until_empty(WAITLIST, LONGEST)
    while PlaceCounter.find_unsettled() and time.monotonic() < end:
        school.clean_up_an_hour_later()
        school.wait_until_empty(WAITLIST, LONGEST)
    for _ in range(MAX_HOURS):
        school.wait_until_empty(EMAILS, LONGEST)
        school.clean_up_an_hour_later()
    school.wait_until_empty(EMAILS, LONGEST)


def _row(
    school: School,
    fault: str,
    clients: _Clients,
    statuses: Counter[int],
    explained: set[int],
    injected: int,
    over: int,
    before: Counter[str],
) -> Row:
    rows = _rows_of(school, "enrollments", clients.course)
    in_order = sorted(rows, key=lambda row: int(row["place_number"]["N"]))
    enrolled = [row for row in in_order if "sort_key" in row]
    [counter] = _rows_of(school, "place-counters", clients.course)
    capacity = int(counter["limit"]["N"]) - int(counter["freed"]["N"])
    after = school.emails()
    emails = {
        caller.id: after[to] - before[to] for caller in clients.callers for to in [f"{caller.username}@example.org"]
    }
    admissions = Counter(row["student"]["S"] for row in enrolled)
    admissions += _deleted_enrollments(school, clients)
    usual = {200, 201, 202, 204, 404, 409}
    return Row(
        fault,
        requests=statuses.total(),
        statuses=", ".join(f"{count} × {status}" for status, count in sorted(statuses.items())),
        injected=injected,
        enrolled=len(enrolled),
        waiting=len(rows) - len(enrolled),
        over=over + (len(enrolled) > capacity),
        free=min(capacity, len(rows)) - len(enrolled) + (in_order[: len(enrolled)] != enrolled),
        emails=sum(emails.values()),
        doubled=sum(max(0, number - admissions[student]) for student, number in emails.items()),
        missing=sum("email_pending" in row or not emails[row["student"]["S"]] for row in enrolled),
        left_behind=_count_left_behind(school, clients.course, rows, counter),
        wrong=sum(count for status, count in statuses.items() if status not in usual | explained),
    )


def _count_left_behind(school: School, course: str, rows: list[dict[str, Any]], counter: dict[str, Any]) -> int:
    """Return the numbers that are not settled, and the rows without their counterpart."""
    settled, drawn, limit = (int(counter[name]["N"]) for name in ("settled", "drawn", "limit"))
    of_students = {(row["place_number"]["N"], row["student"]["S"], row["suffix"]["S"]) for row in rows}
    places = [place for place in _rows_of(school, "places", course) if "student" in place]
    of_places = {(str(int(row["number"]["S"])), row["student"]["S"], row["suffix"]["S"]) for row in places}
    return min(drawn, limit) - settled + len(of_students ^ of_places)


def _deleted_enrollments(school: School, clients: _Clients) -> Counter[str]:
    """Return how many enrollments of each student were deleted, by the ledger."""
    entries = [row["entry"]["S"] for row in school.rows("ledger")]
    deleted = [entry for entry in entries if entry.startswith("enrollment-deleted#") and clients.course in entry]
    return Counter(caller.id for caller in clients.callers for entry in deleted if f"#{caller.id}" in entry)


def _rows_of(school: School, table: str, course: str) -> list[dict[str, Any]]:
    return [row for row in school.rows(table) if row["course"]["S"] == course]
