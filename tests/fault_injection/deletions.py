"""Deletions under faults: all dependents of deleted entities are deleted, and no other row."""

from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from tests.fault_injection.proxy import Call, Fault
from tests.fault_injection.school import DELETIONS, School, course, every, in_parallel, joins, teacher

LONGEST = 1500


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
        self.school.front.rule = lambda call: Fault.THRICE if call.operation == "SendMessage" else None
        return self._delete_course("message three times")

    def killed(self) -> Row:
        """The worker is killed around its transactions."""
        due = every(40 if self.number > 4000 else 6)
        kinds = every(2)

        def rule(call: Call) -> Fault | None:
            if call.operation != "TransactWriteItems" or len(self.school.aws.met) >= 12 or not next(due):
                return None
            return Fault.KILLED_AFTER if next(kinds) else Fault.KILLED_BEFORE

        self.school.aws.rule = rule
        # Killed five times, the message is a dead letter; the cleanup requeues it, and no dependent is left.
        return self._delete_course("worker killed up to 12 times", sweeps=True)

    def lost(self) -> Row:
        """SQS rejects the message, and the cleanup requeues it."""
        self.school.front.rule = lambda call: Fault.REJECTED if call.operation == "SendMessage" else None
        return self._delete_course("message refused", sweeps=True)

    def user(self) -> Row:
        """A student with many enrollments is deleted, and the worker is killed repeatedly."""
        from chalicelib.models.enrollments import Enrollment
        from chalicelib.services import users

        due = every(3)
        self.school.aws.rule = lambda call: (
            Fault.KILLED_AFTER if call.operation == "TransactWriteItems" and next(due) else None
        )
        [student] = joins(1)
        number = min(self.number, 300)
        _enroll_at_once([(student.id, _no_course(n)) for n in range(number)])
        users.erase(student.id)
        self.school.comes_to_rest(DELETIONS, LONGEST)
        self.school.works_well()
        self._sweep("users")
        left = sum(1 for _ in Enrollment.query(student.id, consistent_read=True))
        return Row("user erased, worker killed", number, 0, left, 0, self._miscounted(student.id, number), 0)

    def _delete_course(self, fault: str, sweeps: bool = False) -> Row:
        from chalicelib.models.enrollments import Enrollment
        from chalicelib.models.lessons import Lesson
        from chalicelib.services import courses, lessons

        owner = teacher()
        doomed, kept = course(owner), course(owner)
        for number in range(30):
            fields = {"title": "x", "content": "", "duration_min": 0, "order_index": number}
            lessons.create(owner, doomed.id, fields)
        students = joins(40)
        _enroll_at_once([(_no_student(number), doomed.id) for number in range(self.number)])
        concurrent = _Concurrent(students, kept.id)
        courses.delete(owner, doomed.id, None)
        self.school.comes_to_rest(DELETIONS, LONGEST)
        self.school.works_well()
        if sweeps:
            self._sweep("courses")
        enrolled = concurrent.end()
        left = sum(1 for _ in Enrollment.all_of_course(doomed.id))
        left += sum(1 for _ in Lesson.query(doomed.id, consistent_read=True))
        missing = enrolled - sum(1 for _ in Enrollment.all_of_course(kept.id))
        dead = self._dead()
        return Row(fault, self.number + 30, enrolled, left, missing, self._miscounted(doomed.id, self.number), dead)

    def _sweep(self, table: str) -> None:
        """Run the cleanup until it finds no tombstone; the tombstones are dated to yesterday."""
        self.school.stack.manage("redrive")
        self.school.comes_to_rest(DELETIONS, LONGEST)
        client = self.school.stack.aws("dynamodb")
        for row in self.school.rows(table):
            if "deleted_at" not in row:
                continue
            old = {":then": {"S": "2026-01-01T00:00:00.000000Z"}}
            changes = "SET deleted_at = :then" + (", ended_at = :then" if table == "users" else "")
            client.update_item(
                TableName=f"eduflow-{table}-local",
                Key={"id": row["id"]},
                UpdateExpression=changes,
                ExpressionAttributeValues=old,
            )
        for _ in range(5):
            self.school.invoke("cleanup")
            self.school.comes_to_rest(DELETIONS, LONGEST)
            if not any("deleted_at" in row for row in self.school.rows(table)):
                return
        raise TimeoutError("Tombstones are left after five cleanups.")

    def _dead(self) -> int:
        return self.school.held(f"{DELETIONS}-dead")

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


FAULTS = ["none", "thrice", "killed", "lost", "user"]


def run(school: School, number: int, fault: str) -> list[Row]:
    """Run one fault, from a state without faults to the next one."""
    school.works_well()
    school.again_after(DELETIONS, 4)
    try:
        row: Row = getattr(Deletions(school, number), fault)()
    finally:
        school.works_well()
        school.again_after(DELETIONS, 360)
    return [row]
