"""Reports under faults: each completed day has its row, and the row is correct."""

from dataclasses import dataclass
from typing import Any

from tests.fault_injection.proxy import Fault
from tests.fault_injection.rules import indexes_lag, of_services, some
from tests.fault_injection.school import EMAILS, School, create_students, create_teacher, in_parallel

_LONGEST = 300
_LATE_ENROLLMENTS = 10


@dataclass
class Row:
    """The result of a run with one fault."""

    fault: str
    days: int
    missing: int
    wrong: int
    emails: int
    """The number of admins who received the latest report once; the school has one admin."""

    @property
    def is_good(self) -> bool:
        return not (self.missing or self.wrong) and self.emails == 1


class Reports:
    """The faults, one method each, with the demo data, which has reports of three weeks."""

    def __init__(self, school: School) -> None:
        self.school = school
        self.school.invoke("daily_report")
        self.school.wait_until_empty(EMAILS, _LONGEST)  # the worker reads the reports, which are deleted below
        self.right = self._stored()

    def missed(self) -> Row:
        """The schedule did not run for three days."""
        self._forget(3)
        self.school.invoke("daily_report")
        return self._compare("schedule missed for three days")

    def twice(self) -> Row:
        """Eight runs at once, with ten days missing."""
        self._forget(10)
        in_parallel(lambda _: self.school.invoke("daily_report"), range(8))
        return self._compare("eight runs at once, ten days missing")

    def killed(self) -> Row:
        """Each run is killed before or after it stores a row, until all rows exist."""
        self._forget(10)
        self.school.aws.rule = some(
            1,
            lambda call: (call.operation, call.table) == ("UpdateItem", "reports"),
            Fault.KILLED_AFTER,
            Fault.KILLED_BEFORE,
        )
        for _ in range(30):
            self.school.invoke("daily_report")
        return self._compare("each run killed next to a write")

    def refused(self) -> Row:
        """DynamoDB rejects a third of the calls."""
        self._forget(10)
        self.school.aws.rule = some(3, of_services("dynamodb"), Fault.REFUSED)
        for _ in range(3):
            self.school.invoke("daily_report")
        return self._compare("DynamoDB fails for a third")

    def indexes_lag(self) -> Row:
        """The indexes lag by more than a day: a report is wrong until it is computed again.

        Its first computation is an hour after its day, and the last one 49 hours after it.
        """
        from chalicelib.core import clock
        from chalicelib.services import enrollments
        from tests.factories import create_course

        self.school.lag(hours=26)
        self.school.aws.rule = indexes_lag
        today = clock.now()
        students, course_id = create_students(_LATE_ENROLLMENTS), create_course(create_teacher()).id
        in_parallel(lambda student: enrollments.enroll(student, course_id), students)
        counts = []
        self.school.clock.advance(hours=25 - today.hour)  # until the hour after the one in which the day is reported
        for _ in range(3):
            self.school.invoke("daily_report")
            counts.append(int(self._stored()[today.date().isoformat()]["new_enrollments"]["N"]))
            self.school.clock.advance(hours=24)
        row = self._compare("indexes lag by 26 hours")
        row.wrong += counts[-1] - counts[0] != _LATE_ENROLLMENTS
        return row

    def deleted(self) -> Row:
        """Half of the enrollments, a course and an account are deleted; then all days are regenerated."""
        from chalicelib.core.caller import Caller
        from chalicelib.core.roles import Role
        from chalicelib.models.courses import Course
        from chalicelib.models.enrollments import Enrollment
        from chalicelib.models.users import User
        from chalicelib.services import courses, users, withdrawals

        some = [row for number, row in enumerate(Enrollment.scan()) if number % 2]
        assert sum(withdrawals.delete_in_batches(some)) == len(some)
        course = next(iter(Course.scan(Course.is_published == True)))  # noqa: E712  an expression
        courses.delete(Caller(course.owner_id, "", Role.ADMIN, session_id=""), course.id, None)
        student = next(iter(User.scan(User.role == Role.STUDENT.value)))
        users.erase(student.id)
        first = min(self.right)
        done = self.school.stack.manage("run", "daily-report", "--date", first, **self.school.clock.settings)
        assert done.returncode == 0, done.stderr
        return self._compare("half of it deleted, all days regenerated")

    def _stored(self) -> dict[str, dict[str, Any]]:
        rows = {row["date"]["S"]: row for row in self.school.rows("reports") if row["period"]["S"] == "daily"}
        times = ("computed_at", "emailed_at")
        return {day: {name: row[name] for name in row if name not in times} for day, row in rows.items()}

    def _forget(self, days: int) -> None:
        """Delete the reports of the last days."""
        client = self.school.stack.aws("dynamodb")
        for day in sorted(self.right)[-days:]:
            client.delete_item(TableName="eduflow-reports-local", Key={"period": {"S": "daily"}, "date": {"S": day}})

    def _compare(self, fault: str) -> Row:
        self.school.end_faults()
        self.school.invoke("daily_report")
        self.school.wait_until_empty(EMAILS, _LONGEST)
        now = self._stored()
        wrong = sum(now[day] != row for day, row in self.right.items() if day in now)
        return Row(fault, len(self.right), len(self.right.keys() - now.keys()), wrong, self._emails())

    def _emails(self) -> int:
        newest = max(self.right)
        return len(self.school.stack.emails("EduFlow:", subject=newest))


FAULTS = ["missed", "twice", "killed", "refused", "indexes_lag", "deleted"]


def run(school: School, number: int, fault: str) -> list[Row]:
    """Run one fault, from a state without faults to the next one."""
    school.end_faults()
    school.set_visibility_timeout(EMAILS, 4)  # the worker has the faults of the database, too
    try:
        row: Row = getattr(Reports(school), fault)()
    finally:
        school.end_faults()
        school.set_visibility_timeout(EMAILS, 360)
    return [row]
