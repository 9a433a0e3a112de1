"""Random interleavings of what students, owners and workers do with the places of a course.

Each one runs the real functions, one thread for each actor. A thread stops at each call to DynamoDB until the run lets
it make exactly this call, so that a seed decides the whole interleaving. It also decides the faults.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from chalicelib.adapters import sqs
from chalicelib.adapters.dynamodb import RetryingConnection
from chalicelib.core import clock, ids, retries
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import DomainError
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models import base
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.ledger import Event, LedgerEntry
from chalicelib.models.place_counters import UNLIMITED, PlaceCounter
from chalicelib.models.places import Place, PlaceState
from chalicelib.models.users import User
from chalicelib.services import cleanup, courses, enrollments, place_settlement, places, waitlist
from tests.factories import create_course
from tests.unit.fake_clock import FakeClock
from tests.unit.memory_dynamodb import MemoryDynamoDb, copy_tables

_STUDENTS = 8
_MAX_ACTORS = 24  # at the same time
_WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}


class ProtocolError(AssertionError):
    """What students must not see: `kind` names it."""

    def __init__(self, kind: str, details: object) -> None:
        super().__init__(f"{kind}: {details}")
        self.kind = kind


class Killed(BaseException):
    """The process of an actor ended here."""


class _Fault(Enum):
    KILLED_BEFORE = "killed before the call"
    KILLED_AFTER = "killed after the call"
    LOST = "done, and its response lost: the function repeats it"


@dataclass(frozen=True)
class Faults:
    """Which faults a run has, each as a probability for each call or message."""

    killed: float = 0.0
    lost_updates: float = 0.0
    lost_writes: float = 0.0  # other than UpdateItem
    refused_messages: float = 0.0


@dataclass
class _Actor:
    work: Callable[[], object]
    speed: float  # how often it is its turn, relative to others
    turn: Lock = field(default_factory=Lock)
    operation: str = ""  # the call that it wants to make
    fault: _Fault | None = None  # of the next call
    has_ended: bool = False
    error: BaseException | None = None


class School:
    """Students and an instructor, the same in all runs, and the threads of the actors."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.database = MemoryDynamoDb()
        self.protocol: Protocol | None = None
        patch.setattr(RetryingConnection, "client", self)
        patch.setattr(base, "concurrently", lambda calls: [call() for call in calls])
        patch.setattr(sqs, "send", self._send)
        patch.setattr(sqs, "send_batches", self._send_batches)
        for setting in ("enrollments_per_student", "reenrollments_per_course"):
            patch.setitem(settings().__dict__, setting, 1_000_000)
        self._waits = random.Random()
        patch.setattr(retries, "random", self._waits)
        patch.setattr(retries, "time", FakeClock())
        self.threads = ThreadPoolExecutor(_MAX_ACTORS)
        self.teacher = self._join(Role.INSTRUCTOR)
        self.students = [self._join(Role.STUDENT) for _ in range(_STUDENTS)]
        self._tables = copy_tables(self.database.tables)

    def close(self) -> None:
        self.threads.shutdown()

    def run(self, seed: int, faults: Faults) -> "Protocol":
        """Run one interleaving.

        Raises:
            ProtocolError: A student would see what must not be.
        """
        self.database.tables = copy_tables(self._tables)
        self._waits.seed(seed)
        self.protocol = Protocol(self, seed, faults)
        try:
            self.protocol.run()
        except ProtocolError as error:
            error.add_note(f"seed {seed}, {faults}")
            raise
        finally:
            protocol, self.protocol = self.protocol, None
        return protocol

    def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        call = self.protocol.call if self.protocol else self.database._make_api_call
        return call(operation, parameters)

    def _send(self, queue: str, message: sqs.Message, **options: Any) -> bool:
        assert self.protocol
        return self.protocol.send(queue, message)

    def _send_batches(self, queue: str, messages: Iterable[sqs.Message]) -> Iterator[list[sqs.Message]]:
        yield [message for message in messages if self._send(queue, message)]

    def _join(self, role: Role) -> Caller:
        user_id, joined_at = ids.new_id(), clock.timestamp()
        user = User(user_id, username=f"u{user_id}", email=f"{user_id}@example.org", role=role.value)
        user.date_joined, user.sort_key = joined_at, f"{joined_at}#{user_id}"
        user.save()
        return Caller(user_id, f"u{user_id}", role, session_id="")


class Protocol:
    """One interleaving."""

    def __init__(self, school: School, seed: int, faults: Faults) -> None:
        self._school, self._faults = school, faults
        self._random = random.Random(seed)
        self._database = school.database
        self._messages: list[sqs.Message] = []  # in the queue of waitlists
        self._emails: list[str] = []  # the enrollments of the messages in the queue of emails
        self._admissions: dict[str, str] = {}  # the sort key of each row that was ever enrolled, by its ID
        self._actor: _Actor | None = None  # whose turn it is
        self._own_turn = Lock()
        self._own_turn.acquire()
        self._course = ""
        self._students = school.students[: self._random.randint(2, _STUDENTS)]
        self.most_enrolled = 0

    def run(self) -> None:
        """Run the actors to their ends, then work off the queues, and compare the result."""
        capacity, waiting = self._random.randint(1, 3), self._random.choice((0, 2, 50))
        course = create_course(self._school.teacher, capacity=capacity, waitlist=waiting)
        self._course = course.id
        self._interleave()
        self._work_off_messages()
        if not self._faults.killed:
            self._check_rest()
        self._clean_up()
        self._check_rest()
        self._check_waitlist_room()

    def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Make a call to DynamoDB when it is the actor's turn; outside of actors, at once."""
        actor = self._actor
        if actor is None:
            return self._database._make_api_call(operation, parameters)
        actor.operation = operation
        self._own_turn.release()
        actor.turn.acquire()
        if actor.fault is _Fault.KILLED_BEFORE:
            raise Killed
        response = self._database._make_api_call(operation, parameters)
        if actor.fault is _Fault.KILLED_AFTER:
            raise Killed
        if actor.fault is _Fault.LOST:
            raise ConnectionClosedError(endpoint_url="memory")
        return response

    def send(self, queue: str, message: sqs.Message) -> bool:
        """Put a message into a queue, unless a fault prevents it."""
        if self._actor and self._random.random() < self._faults.refused_messages:
            return False
        if queue == sqs.WAITLIST:
            self._messages.append(message)
        else:
            assert message["kind"] in (EmailKind.ENROLLMENT, EmailKind.PLACE_AVAILABLE)
            self._emails.append(message["id"])
        return True

    def _interleave(self) -> None:
        """Let the actors make their calls in random order, until each has ended or was killed."""
        planned = [self._plan() for _ in range(self._random.randint(3, 16))]
        running: list[_Actor] = []
        try:
            while planned or running:
                if planned and (not running or self._random.random() < 0.3):
                    running.append(self._start(planned.pop()))
                elif self._messages and len(running) < _MAX_ACTORS and self._random.random() < 0.15:
                    running.append(self._start(self._delivery()))
                [actor] = self._random.choices(running, [actor.speed for actor in running])
                operation = actor.operation
                self._step(actor, self._fault_for(actor))
                if actor.has_ended:
                    running.remove(actor)
                if operation in _WRITES:
                    self._check_always()
        finally:
            for actor in running:
                while not actor.has_ended:
                    self._step(actor, _Fault.KILLED_BEFORE)

    def _start(self, work: Callable[[], object]) -> _Actor:
        """Start an actor, which stops before its first call."""
        actor = _Actor(work, self._random.choice((0.05, 1, 1)))
        actor.turn.acquire()
        self._actor = actor
        self._school.threads.submit(self._act, actor)
        self._own_turn.acquire()
        return actor

    def _act(self, actor: _Actor) -> None:
        try:
            actor.work()
        except (Killed, DomainError):  # the latter is a response
            pass
        except BaseException as error:
            actor.error = error
        finally:
            actor.has_ended = True
            self._own_turn.release()

    def _step(self, actor: _Actor, fault: _Fault | None) -> None:
        """Let an actor make one call, and what follows up to the next one."""
        if not actor.has_ended:
            actor.fault, self._actor = fault, actor
            actor.turn.release()
            self._own_turn.acquire()
        self._actor = None
        if actor.error:
            raise actor.error

    def _fault_for(self, actor: _Actor) -> _Fault | None:
        chance, faults = self._random.random(), self._faults
        if chance < faults.killed:
            return self._random.choice((_Fault.KILLED_BEFORE, _Fault.KILLED_AFTER))
        lost = faults.lost_updates if actor.operation == "UpdateItem" else faults.lost_writes
        return _Fault.LOST if actor.operation in _WRITES and chance < faults.killed + lost else None

    def _plan(self) -> Callable[[], object]:
        """Return what an actor does."""
        student = self._random.choice(self._students)
        actors = [*[self._join] * 3, *[self._leave] * 2, self._settle, self._resize]
        return self._random.choice(actors)(student)

    def _join(self, student: Caller) -> Callable[[], object]:
        if self._random.random() < 0.7:
            return lambda: enrollments.enroll_or_wait(student, self._course)

        def enroll() -> None:
            enrollment = enrollments.enroll(student, self._course)
            _require("waits unasked", not enrollment.is_waiting, enrollment.id)

        return enroll

    def _leave(self, student: Caller) -> Callable[[], object]:
        def leave() -> None:
            row = Enrollment.find_by_student_and_course(student.id, self._course)
            if row:
                (waitlist.leave if row.is_waiting else enrollments.withdraw)(student, row.id)

        return leave

    def _settle(self, _: Caller) -> Callable[[], object]:
        """Return what the worker does with a message of a departure, or with the delayed one after it."""
        is_delayed = self._random.random() < 0.5

        def settle() -> None:
            counter = PlaceCounter.find(self._course) if is_delayed else None
            self._process(sqs.waitlist_message(self._course, int(counter.drawn) if counter else 0))

        return settle

    def _resize(self, _: Caller) -> Callable[[], object]:
        change = self._random.choice((-2, -1, 1, 2, None))

        def resize() -> None:
            course = Course.find(self._course)
            assert course
            capacity = None if change is None else int(course.capacity or 3) + change
            if capacity is None or capacity >= 1:
                courses.update(self._school.teacher, self._course, {"capacity": capacity}, None)

        return resize

    def _delivery(self) -> Callable[[], object]:
        message = self._messages.pop(self._random.randrange(len(self._messages)))
        return lambda: self._process(message)

    @staticmethod
    def _process(message: sqs.Message) -> None:
        for _ in place_settlement.settle(message["course"], int(message["void_through"])):
            pass

    def _work_off_messages(self) -> None:
        for _ in range(200):
            if not self._messages:
                return
            self._process(self._messages.pop(0))
            self._check_always()
        raise ProtocolError("endless", self._messages[:3])

    def _clean_up(self) -> None:
        """Run the cleanup, as every hour, until it finds nothing."""
        for _ in range(20):
            for _ in cleanup.request_settlements(clock.now()):
                pass
            if not self._messages:
                return
            self._work_off_messages()
        raise ProtocolError("endless", PlaceCounter.find_unsettled())

    def _check_always(self) -> None:
        """Check what holds after every write."""
        [counter] = [_numbers(row) for row in self._database.rows(PlaceCounter)]
        [course] = self._database.rows(Course)
        enrolled = [row for row in self._database.rows(Enrollment) if "sort_key" in row]
        capacity = counter["limit"] - counter["freed"]
        self.most_enrolled = max(self.most_enrolled, len(enrolled))
        _require("over capacity", len(enrolled) <= capacity, len(enrolled), counter)
        _require("counters differ", capacity == _number(course, "capacity", UNLIMITED), capacity, course)
        waiting = counter["last"] - counter["limit"] - counter["left"]
        _require("counters differ", waiting == _number(course, "waitlist"), waiting, course)
        _require("settled too far", counter["settled"] <= min(counter["drawn"], counter["limit"]), counter)
        for row in enrolled:
            admitted = self._admissions.setdefault(_id(row), row["sort_key"]["S"])
            _require("admitted twice", admitted == row["sort_key"]["S"], row)

    def _check_rest(self) -> None:
        """Check what holds once nothing is left to do."""
        rows = sorted(self._database.rows(Enrollment), key=lambda row: _number(row, "place_number"))
        is_enrolled = ["sort_key" in row for row in rows]
        [counter] = [_numbers(row) for row in self._database.rows(PlaceCounter)]
        capacity = counter["limit"] - counter["freed"]
        _require("free while students wait", sum(is_enrolled) == min(capacity, len(rows)), is_enrolled, counter)
        _require("not in order", is_enrolled == sorted(is_enrolled, reverse=True), is_enrolled, counter)
        size = self._database.rows(Course)[0]["waitlist"]["N"]
        _require("waitlist too long", is_enrolled.count(False) <= int(size), counter)
        self._check_emails([row for row in rows if "sort_key" in row], rows)
        self._check_ledger(rows)
        self._check_places(rows)
        self._check_counters(rows, counter)

    def _check_waitlist_room(self) -> None:
        """Check that no number takes up room of the waitlist for a student who does not wait."""
        [counter] = [_numbers(row) for row in self._database.rows(PlaceCounter)]
        enrolled = [row for row in self._database.rows(Enrollment) if "sort_key" in row]
        waiting = len(self._database.rows(Enrollment)) - len(enrolled)
        if counter["drawn"] > counter["limit"]:
            free = _number(self._database.rows(Course)[0], "waitlist") - waiting
            _require("waitlist room", counter["last"] - counter["drawn"] == free, waiting, counter)
        if counter["limit"] - counter["freed"] < UNLIMITED:
            _require("waitlist room", places.get(None, self._course).waiting == waiting, waiting, counter)

    def _check_emails(self, enrolled: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
        """Each who is enrolled has one pending email. A message without an enrollment has no effect."""
        _require("email", {*self._emails} <= self._admissions.keys(), self._emails)
        _require("email", [_id(row) for row in rows if "email_pending" in row] == [_id(row) for row in enrolled], rows)
        if not (self._faults.killed or self._faults.refused_messages):
            _require("email not requested", {_id(row) for row in enrolled} <= {*self._emails}, self._emails)

    def _check_ledger(self, rows: list[dict[str, Any]]) -> None:
        """The ledger has each enrollment that was deleted, and no waiting entry."""
        entries = (row["entry"]["S"].split("#") for row in self._database.rows(LedgerEntry))
        deleted = sorted(entity for event, _, entity in entries if event == Event.ENROLLMENT_DELETED)
        _require("ledger", deleted == sorted(self._admissions.keys() - {_id(row) for row in rows}), deleted)

    def _check_places(self, rows: list[dict[str, Any]]) -> None:
        """Each row has its place, and each place that is of a student has its row."""
        expected = {
            (_number(row, "place_number"), PlaceState.WAITING if "waiting_since" in row else PlaceState.TAKEN, _id(row))
            for row in rows
        }
        of_students = (Place.from_raw_data(row) for row in self._database.rows(Place) if "student" in row)
        found = {(place.number, place.state, place.enrollment_id) for place in of_students}
        _require("places differ", found == expected, found ^ expected)

    def _check_counters(self, rows: list[dict[str, Any]], counter: dict[str, int]) -> None:
        """The counters are those that one would count, and so are the responses."""
        enrolled, settled = [row for row in rows if "sort_key" in row], counter["settled"]
        of_students = sum(_number(row, "place_number") <= settled for row in enrolled)
        _require("miscounted", counter["freed"] == settled - of_students, counter)
        states = [(place.number, place.state) for place in map(Place.from_raw_data, self._database.rows(Place))]
        left = sum(number > settled and state == PlaceState.LEFT for number, state in states)
        _require("miscounted", counter["left"] == left, counter)
        is_settled = settled == min(counter["drawn"], counter["limit"])
        if is_settled and counter["limit"] - counter["freed"] < UNLIMITED:
            _require("miscounted", places.get(None, self._course).taken == len(enrolled), counter)
        page = waitlist.list_entries(self._school.teacher, PageRequest(2), self._course)
        waiting = [_id(row) for row in rows if "sort_key" not in row]
        _require("waitlist", [entry.id for entry in page.items] == waiting[:2], page)


def _require(kind: str, holds: bool, *details: object) -> None:
    if not holds:
        raise ProtocolError(kind, json.dumps(details, default=str))


def _number(row: dict[str, Any], name: str, default: int = 0) -> int:
    return int(row[name]["N"]) if name in row else default


def _numbers(row: dict[str, Any]) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in row.items() if "N" in value}


def _id(row: dict[str, Any]) -> str:
    return ids.enrollment_id(*(row[name]["S"] for name in ("student", "course", "suffix")))
