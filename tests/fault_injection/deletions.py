"""Deletions under faults: all dependents of deleted entities are deleted, and no other row."""

from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from chalicelib.core.retry_policy import CASCADE_DELAY_SECONDS, VISIBILITY_TIMEOUT_SECONDS
from tests.fault_injection.proxy import Call, Fault
from tests.fault_injection.rules import (
    LoopDetection,
    always,
    calls,
    every,
    indexes_lag,
    is_message,
    some,
)
from tests.fault_injection.school import DELETIONS, EMAILS, School, create_students, create_teacher, in_parallel

LONGEST = 1500
_MAX_CLEANUPS = 30


@dataclass
class Row:
    """The result of a run with one fault."""

    fault: str
    rows: int
    """The number of dependents of the course or user at its deletion."""
    concurrent: int
    """The number of concurrent enrollments in other courses."""
    left: int
    """The number of dependents that were not deleted."""
    missing: int
    """The number of deleted rows of other entities."""
    miscounted: int
    """The number of deletions that the ledger does not have exactly once."""
    dead: int
    injected: int

    @property
    def is_good(self) -> bool:
        return not (self.left or self.missing or self.miscounted or self.dead)


class Deletions:
    """The faults, one method each."""

    def __init__(self, school: School, number: int) -> None:
        self.school = school
        self.number = number

    def none(self) -> Row:
        """No fault."""
        return self._delete_course("none")

    def thrice(self) -> Row:
        """The message is delivered three times at once."""
        self.school.front.rule = always(Fault.THRICE, is_message)
        return self._delete_course("message three times")

    def killed(self) -> Row:
        """The worker is killed around its transactions."""
        due = every(40 if self.number > 4000 else 2)
        kinds = every(2)

        def rule(call: Call) -> Fault | None:
            if call.operation != "TransactWriteItems" or len(self.school.aws.met) >= 12 or not next(due):
                return None
            return Fault.KILLED_AFTER if next(kinds) else Fault.KILLED_BEFORE

        self.school.aws.rule = rule
        # Killed five times, the message is a dead letter; the cleanup sends another one, and no dependent is left.
        return self._delete_course("worker killed up to 12 times", sweeps=True)

    def lost(self) -> Row:
        """SQS rejects the message, and the cleanup requeues it."""
        self.school.front.rule = always(Fault.REJECTED, is_message)
        return self._delete_course("message refused", sweeps=True)

    def indexes_lag(self) -> Row:
        """Each message comes three times, and the index by course lags: by longer than the worker waits.

        So the worker misses the enrollments of the last half hour, and finds those that it has deleted.
        """
        self.school.lag(hours=0.5)
        self.school.aws.rule = indexes_lag
        self.school.front.rule = always(Fault.THRICE, is_message)
        return self._delete_course("message three times, indexes lag by 30 minutes", sweeps=True, pause_hours=0.6)

    def chain_cut(self) -> Row:
        """The worker's time suffices for few transactions, and Lambda ends each chain of its messages: it is a loop."""
        is_short = self.number < 4000
        loops = LoopDetection(2) if is_short else LoopDetection()
        seconds = 45 if is_short else 5  # of one transaction, on the clock: the worker has 60, less 20 to end

        def rule(call: Call) -> Fault | None:
            if call.operation == "TransactWriteItems":
                self.school.clock.advance(hours=seconds / 3600)
            return loops(call)

        self.school.aws.rule = rule
        row = self._delete_course("chain of messages cut", sweeps=True)
        assert row.injected, "no chain was long enough"
        return row

    def user(self) -> Row:
        """A student with many enrollments is deleted, and the worker is killed repeatedly."""
        from chalicelib.models.enrollments import Enrollment
        from chalicelib.services import users

        self.school.aws.rule = some(3 if self.number > 100 else 2, calls("TransactWriteItems"), Fault.KILLED_AFTER)
        [student] = create_students(1)
        number = min(self.number, 300)
        _enroll_at_once([(student.id, _no_course(n)) for n in range(number)])
        users.erase(student.id)
        self.school.wait_until_empty(DELETIONS, LONGEST)
        injected = len(self.school.aws.met)
        self.school.end_faults()
        self._sweep("users")
        left = sum(1 for _ in Enrollment.query(student.id, consistent_read=True))
        miscounted = self._miscounted(student.id, number)
        return Row("user erased, worker killed", number, 0, left, 0, miscounted, self._dead(), injected)

    def _delete_course(self, fault: str, sweeps: bool = False, pause_hours: float = 0) -> Row:
        from chalicelib.models.enrollments import Enrollment
        from chalicelib.models.lessons import Lesson
        from chalicelib.services import courses, lessons
        from tests.factories import create_course

        owner = create_teacher()
        doomed, kept = create_course(owner), create_course(owner)
        for number in range(30):
            fields = {"title": "x", "content": "", "duration_min": 0, "order_index": number}
            lessons.create(owner, doomed.id, fields)
        students = create_students(40 if self.number > 100 else 10)
        pairs = [(_no_student(number), doomed.id) for number in range(self.number)]
        _enroll_at_once(pairs[: self.number // 2])
        self.school.clock.advance(pause_hours)
        _enroll_at_once(pairs[self.number // 2 :])
        concurrent = _Concurrent(students, kept.id)
        courses.delete(owner, doomed.id, None)
        self.school.wait_until_empty(DELETIONS, LONGEST)
        enrolled = concurrent.end()
        self.school.wait_until_empty(EMAILS, LONGEST)
        if sweeps:
            self._sweep("courses")
        injected = len(self.school.aws.met) + len(self.school.front.met)
        self.school.end_faults()
        left = sum(1 for _ in Enrollment.all_of_course(doomed.id))
        left += sum(1 for _ in Lesson.query(doomed.id, consistent_read=True))
        missing = enrolled - sum(1 for _ in Enrollment.all_of_course(kept.id))
        dead = self._dead()
        miscounted = self._miscounted(doomed.id, self.number)
        return Row(fault, self.number + 30, enrolled, left, missing, miscounted, dead, injected)

    def _sweep(self, table: str) -> None:
        """Run the hourly cleanup until nothing is to be deleted, and then the next day; at the end, redrive."""
        for _ in range(_MAX_CLEANUPS):
            numbers = self.school.clean_up_an_hour_later()
            self.school.wait_until_empty(DELETIONS, LONGEST)
            if not any("deleted_at" in row for row in self.school.rows(table)):
                self.school.stack.manage("redrive")
                self.school.wait_until_empty(DELETIONS, LONGEST)
                return
            if not numbers.get("CourseDeletionsRequeued") and not numbers.get("UserDeletionsRequeued"):
                self.school.clock.advance(hours=23)
        raise TimeoutError(f"Tombstones are left after {_MAX_CLEANUPS} cleanups.")

    def _dead(self) -> int:
        return self.school.count_messages(f"{DELETIONS}-dead")

    def _miscounted(self, entity_id: str, number: int) -> int:
        ended = [row for row in self.school.rows("ledger") if row["entry"]["S"].startswith("enrollment-deleted#")]
        return abs(sum(entity_id in row["entry"]["S"] for row in ended) - number)


class _Concurrent:
    """Students who enroll in other courses during a deletion."""

    def __init__(self, students: list[Any], course_id: str) -> None:
        self._end, self._enrolled = Event(), 0
        self._thread = Thread(target=self._enroll, args=(students, course_id))
        self._thread.start()

    def _enroll(self, students: list[Any], course_id: str) -> None:
        from chalicelib.services import enrollments

        for student in students:
            enrollments.enroll(student, course_id)
            self._enrolled += 1
            self._end.wait(0.2)

    def end(self) -> int:
        """The number of enrollments."""
        self._end.set()
        self._thread.join()
        return self._enrolled


def _enroll_at_once(pairs: list[tuple[str, str]]) -> None:
    """Create enrollments whose emails are sent."""
    from chalicelib.core import clock
    from chalicelib.models.enrollments import Enrollment

    created_at = clock.format_timestamp(clock.now())

    def save(some: list[tuple[str, str]]) -> None:
        with Enrollment.batch_write() as batch:
            for student, course_id in some:
                row = Enrollment.new(student, course_id, created_at, "faults")
                row.email_pending = None
                batch.save(row)

    in_parallel(save, [pairs[start : start + 500] for start in range(0, len(pairs), 500)])


def _no_student(number: int) -> str:
    return f"{number:016d}"


def _no_course(number: int) -> str:
    return f"{number:016d}"


FAULTS = ["none", "thrice", "killed", "lost", "indexes_lag", "chain_cut", "user"]


def run(school: School, number: int, fault: str) -> list[Row]:
    """Run one fault, from a state without faults to the next one."""
    school.end_faults()
    school.set_visibility_timeout(DELETIONS, 4)  # without the delay: no request is running that could add dependents
    school.set_visibility_timeout(EMAILS, 4)
    try:
        row: Row = getattr(Deletions(school, number), fault)()
    finally:
        school.end_faults()
        school.set_visibility_timeout(DELETIONS, VISIBILITY_TIMEOUT_SECONDS, delay=CASCADE_DELAY_SECONDS)
        school.set_visibility_timeout(EMAILS, VISIBILITY_TIMEOUT_SECONDS)
    return [row]
