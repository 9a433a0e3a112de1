"""Requests with an Idempotency-Key under faults, each repeated until it succeeds: resources missing or doubled."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

import requests
from requests import Response

from tests.clients import Actor, register, unique
from tests.fault_injection.proxy import Call, Fault, Rule
from tests.fault_injection.rules import always, calls, every, healthy, some
from tests.fault_injection.school import School, in_parallel

DEADLINE_SECONDS = 240  # of one request, with all of its repetitions
_WRITES = ("UpdateItem", "DeleteItem", "TransactWriteItems")


@dataclass
class Row:
    """The results of one kind of request under one fault."""

    fault: str
    operation: str
    keys: int
    sent: int
    """Requests with these keys, repeated ones included."""
    injected: int
    in_progress: int
    """Responses 409, because another request with the key was in progress."""
    doubled: int
    missing: int
    wrong: int
    """Final responses that name another resource, and later requests that are not replays."""

    @property
    def is_good(self) -> bool:
        return not (self.doubled or self.missing or self.wrong)


@dataclass
class _Operation:
    name: str
    send: Callable[[int], Response]
    ids: Callable[[int], list[str]]
    """The IDs of the resources of one key."""


def _is_of_request(call: Call) -> bool:
    return call.operation in _WRITES and (call.operation == "TransactWriteItems" or call.table == "idempotency")


def _killed_around(number: int) -> Rule:
    """Kill the process before and after each of its writes, as often as there are keys."""
    due, kinds, left = every(3), cycle((Fault.KILLED_BEFORE, Fault.KILLED_AFTER)), iter(range(number))
    return lambda call: next(kinds) if _is_of_request(call) and next(due) and next(left, None) is not None else None


def _not_completed(number: int) -> Rule:
    """Kill the process after each transaction: the record is not completed."""
    left = iter(range(number))

    def rule(call: Call) -> Fault | None:
        is_due = call.operation == "TransactWriteItems" and next(left, None) is not None
        return Fault.KILLED_AFTER if is_due else None

    return rule


FAULT_RULES: dict[str, Callable[[int], Rule]] = {
    "none": lambda number: healthy,
    "killed": _killed_around,
    "killed_after_creation": _not_completed,
    "every_third_response_lost": lambda number: some(3, _is_of_request, Fault.LOST),
    "half_of_the_responses_lost": lambda number: some(2, _is_of_request, Fault.LOST),
    "every_third_write_fails": lambda number: some(3, _is_of_request, Fault.REFUSED),
    "every_second_write_throttled": lambda number: some(2, _is_of_request, Fault.TABLE_THROTTLED),
    "transactions_repeated": lambda number: always(Fault.THRICE, calls("TransactWriteItems")),
    "conflicts": lambda number: some(2, _is_of_request, Fault.CONFLICT),
}
FAULTS = [*FAULT_RULES]


def run(school: School, number: int, fault: str) -> Iterator[Row]:
    """Run all operations under one fault."""
    school.end_faults()
    school.route_through_proxy("api_handler")
    for operation in _operations(school, number):
        school.aws.rule = FAULT_RULES[fault](number)
        try:
            sent = in_parallel(partial(_repeat, operation.send), range(number))
            injected = len(school.aws.met)
        finally:
            school.end_faults()
        yield _row(fault, operation, sent, injected)


def _row(fault: str, operation: _Operation, sent: list[list[Response | None]], injected: int) -> Row:
    doubled = missing = wrong = 0
    for index, responses in enumerate(sent):
        ids, replay = operation.ids(index), operation.send(index)
        last = responses[-1]
        doubled += len(ids) > 1
        missing += not ids
        wrong += last is None or [last.json().get("id")] != ids or replay.json().get("id") not in ids
        wrong += replay.headers.get("Idempotency-Replayed") != "true"
    statuses = Counter(response.status_code for responses in sent for response in responses if response is not None)
    total = sum(map(len, sent))
    return Row(fault, operation.name, len(sent), total, injected, statuses[409], doubled, missing, wrong)


def _repeat(send: Callable[[int], Response], index: int) -> list[Response | None]:
    """Send a request until it succeeds, and return all responses, None for a lost one."""
    responses: list[Response | None] = []
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        try:
            responses.append(send(index))
        except requests.RequestException:
            responses.append(None)
        last = responses[-1]
        if last is not None and last.status_code == 201:
            break
        time.sleep(2)
    return responses


def _operations(school: School, number: int) -> list[_Operation]:
    api = school.stack.api
    school.stack.reset_throttling()
    teacher = register(api, "instructor")
    course = teacher.create_course()
    students = [register(api, "student") for _ in range(number)]
    keys, titles = [unique("key") for _ in range(number)], [unique("Title") for _ in range(number)]

    def post(actor: Actor, path: str, body: Any, index: int) -> Response:
        return actor.post(path, body, headers={"Idempotency-Key": keys[index]})

    def titled(table: str, index: int) -> list[str]:
        rows = [row for row in school.rows(table) if row.get("title", {}).get("S") == titles[index]]
        return [row["id"]["S"] if "id" in row else row["course"]["S"] + row["suffix"]["S"] for row in rows]

    def enrolled(index: int) -> list[str]:
        return [row["id"] for row in students[index].get("/enrollments/").json()["results"]]

    return [
        _Operation(
            "create a course",
            lambda index: post(teacher, "/courses/", {"title": titles[index], "is_published": True}, index),
            lambda index: titled("courses", index),
        ),
        _Operation(
            "create a lesson",
            lambda index: post(teacher, "/lessons/", {"title": titles[index], "course": course["id"]}, index),
            lambda index: titled("lessons", index),
        ),
        _Operation(
            "enroll", lambda index: post(students[index], "/enrollments/", {"course": course["id"]}, index), enrolled
        ),
    ]
