"""Emails under faults: each enrollment has exactly one, plus the documented duplicates."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib.core.retry_policy import VISIBILITY_TIMEOUT_SECONDS
from tests.fault_injection.email_faults import (
    LAG_HOURS,
    LONGEST,
    MAX_HOURS,
    OUTAGE_HOURS,
    RECORD,
    SEND,
    Kills,
    count_refused_records,
    count_unrecorded_kills,
    on_send,
    refuse_half,
)
from tests.fault_injection.proxy import Fault
from tests.fault_injection.rules import (
    always,
    every,
    indexes_lag,
    is_message,
    of_services,
    ses_and_sqs_down,
    some,
)
from tests.fault_injection.school import EMAILS, WORKER_SECONDS, School, create_students, create_teacher, in_parallel


@dataclass
class Row:
    """The result of a run with one fault."""

    fault: str
    enrollments: int
    emails: int
    duplicates: int
    lost: int
    dead: int
    window: int = 0
    """How often SES accepted an email without a response or record: so many duplicates are allowed."""
    poison: int = 0
    """The expected number of dead letters."""
    hours: int = 0
    """How long after the end of the outage all emails were sent, on the injected clock."""

    @property
    def is_good(self) -> bool:
        is_complete = self.lost == 0 and self.hours <= MAX_HOURS
        return is_complete and self.duplicates <= self.window and self.dead == self.poison


class Emails:
    """The faults, one method each, with the same number of enrollments."""

    def __init__(self, school: School, number: int) -> None:
        self.school = school
        self.number = number

    def none(self) -> Row:
        """No fault."""
        return self._enroll_and_count("none")

    def thrice(self) -> Row:
        """Each message is delivered three times."""
        self.school.front.rule = always(Fault.THRICE, is_message)
        return self._enroll_and_count("every message three times")

    def killed(self) -> Row:
        """The worker is killed before and after each of its steps, several times each."""
        steps = [("PutItem", "idempotency"), SEND, RECORD]
        steps += [("BatchGetItem", ""), ("UpdateItem", "enrollments"), ("UpdateItem", "users")]
        kills = Kills(steps, rounds=1 + self.number // 400, period=10 if self.number > 400 else 2)
        self.school.aws.rule = kills
        self.school.set_visibility_timeout(EMAILS, WORKER_SECONDS + 3)  # longer than a record is in progress
        row = self._enroll_and_count("worker killed around each step")
        kills.check_done()
        row.window = count_unrecorded_kills(self.school.aws.met)
        return row

    def ses_fails(self) -> Row:
        """SES rejects a third of the calls."""
        due = every(3)
        return self._with_ses("SES fails for a third", lambda to: Fault.REFUSED if next(due) else None)

    def ses_throttles(self) -> Row:
        """SES throttles two thirds of the calls."""
        due = every(3)
        return self._with_ses("SES throttles two of three", lambda to: None if next(due) else Fault.THROTTLED)

    def ses_is_mute(self) -> Row:
        """SES accepts each tenth email without a response, which causes duplicates."""
        due = every(10)
        row = self._with_ses("SES accepts a tenth without a response", lambda to: Fault.LOST if next(due) else None)
        row.window = len(self.school.aws.met)
        return row

    def poison(self) -> list[Row]:
        """SES rejects three addresses until the dead letters are redriven."""
        students = create_students(self.number)
        bad = students[:3]
        addresses = {_address(student) for student in bad}
        self.school.aws.rule = on_send(lambda to: Fault.REJECTED if to in addresses else None)
        before = self.school.emails()
        self._enroll(students)
        rejected = self._count("SES rejects 3 addresses for ever", students, before)
        rejected.poison, rejected.lost = len(bad), rejected.lost - len(bad)
        self._check_given_up({student.id for student in bad})
        self.school.end_faults()
        redriven = self.school.stack.manage("redrive")
        assert redriven.returncode == 0, redriven.stderr
        return [rejected, self._count("the same, redriven", students, before)]

    def dynamodb_fails(self) -> Row:
        """DynamoDB rejects a fifth of the worker's calls."""
        self.school.aws.rule = some(5, of_services("dynamodb"), Fault.REFUSED)
        row = self._enroll_and_count("DynamoDB fails for a fifth")
        row.window = count_refused_records(self.school.aws.met)
        return row

    def sqs_refuses(self) -> Row:
        """SQS rejects half of the messages at enrollment; two concurrent cleanups requeue them."""
        self.school.front.rule = refuse_half
        students = create_students(self.number)
        before = self.school.emails()
        self._enroll(students)
        self.school.wait_until_empty(EMAILS, LONGEST)
        self.school.end_faults()
        self.school.clock.advance(hours=1)  # as long ago as the cleanups look
        found = in_parallel(lambda _: self.school.invoke("cleanup"), range(2))
        assert any(one["EmailsRequeued"] for one in found), found
        return self._count("SQS refuses half, two cleanups at once", students, before)

    def outage(self) -> Row:
        """SES is down, and then SQS as well; the cleanup runs each hour of the outage and afterwards.

        The short form has no emails that are delivered five times, which takes half a minute.
        """
        early = create_students(self.number // 8 if self.number > 100 else 0)
        late = create_students(self.number - len(early))
        before = self.school.emails()
        self.school.aws.rule = always(Fault.UNREACHABLE, of_services("ses"))
        self._enroll(early)
        self.school.wait_until_empty(EMAILS, LONGEST)  # each message is delivered five times
        self.school.aws.rule = self.school.front.rule = ses_and_sqs_down
        self._enroll(late)
        for _ in range(OUTAGE_HOURS):
            self.school.clean_up_an_hour_later()
        assert self.school.emails() == before
        self.school.end_faults()
        return self._clean_up_and_count(f"SES and SQS down for {OUTAGE_HOURS} hours", [*early, *late], before)

    def indexes_lag(self) -> Row:
        """SQS rejects half of the messages, and the index of pending emails lags by more than an hour.

        It does not have the first emails when the cleanup looks for them, and still has sent ones later.
        """
        self.school.lag(hours=LAG_HOURS)
        self.school.aws.rule = indexes_lag
        self.school.front.rule = refuse_half
        students = create_students(self.number)
        before = self.school.emails()
        self._enroll(students)
        self.school.wait_until_empty(EMAILS, LONGEST)
        self.school.front.rule = indexes_lag
        assert not self.school.clean_up_an_hour_later().get("EmailsRequeued")
        return self._clean_up_and_count("SQS refuses half, indexes lag by 72 minutes", students, before)

    def _clean_up_and_count(self, name: str, students: list[Any], before: Counter[str]) -> Row:
        """Run the cleanup each hour until it has begun twice with the oldest email, and return when all were sent."""
        hours = 0
        # All may have to wait for a free worker at once.
        self.school.set_visibility_timeout(EMAILS, VISIBILITY_TIMEOUT_SECONDS)
        for hour in range(1, 2 * MAX_HOURS):
            self.school.clean_up_an_hour_later()
            self.school.wait_until_empty(EMAILS, LONGEST)
            hours = hours or (hour if self._count(name, students, before).lost == 0 else 0)
        row = self._count(name, students, before)
        row.hours = hours
        return row

    def back_again(self) -> Row:
        """Each student leaves before the worker runs and enrolls again: the first enrollment has no email."""
        students = create_students(self.number)
        before = self.school.emails()
        self.school.set_event_source_enabled("emails", False)
        course_id = self._enroll(students)
        self._leave(students, course_id)
        self._enroll(students, course_id)
        self.school.set_event_source_enabled("emails", True)
        return self._count("withdrew and enrolled again before the email", students, before)

    def back_after_email(self) -> Row:
        """Each student leaves after the email and enrolls again: a second email."""
        students = create_students(self.number)
        before = self.school.emails()
        course_id = self._enroll(students)
        self.school.wait_until_empty(EMAILS, LONGEST)
        self._leave(students, course_id)
        self._enroll(students, course_id)
        return self._count("withdrew and enrolled again after the email", students, before, each=2)

    def _with_ses(self, name: str, says: Callable[[str], Fault | None]) -> Row:
        self.school.aws.rule = on_send(says)
        return self._enroll_and_count(name)

    def _enroll_and_count(self, name: str, students: list[Any] | None = None) -> Row:
        students = students or create_students(self.number)
        before = self.school.emails()
        self._enroll(students)
        return self._count(name, students, before)

    def _enroll(self, students: list[Any], course_id: str = "") -> str:
        from chalicelib.services import enrollments
        from tests.factories import create_course

        course_id = course_id or create_course(create_teacher()).id
        in_parallel(lambda student: enrollments.enroll(student, course_id), students)
        return course_id

    def _leave(self, students: list[Any], course_id: str) -> None:
        from chalicelib.core import clock
        from chalicelib.models.enrollments import Enrollment

        for student in students:
            found = Enrollment.find_by_student_and_course(student.id, course_id)
            assert found and Enrollment.delete_batch([found], clock.timestamp())

    def _count(self, name: str, students: list[Any], before: Counter[str], each: int = 1) -> Row:
        self.school.wait_until_empty(EMAILS, LONGEST)
        after = self.school.emails()
        got = [after[to] - before[to] for to in map(_address, students)]
        return Row(
            name,
            enrollments=len(students) * each,
            emails=sum(got),
            duplicates=sum(max(number - each, 0) for number in got),
            lost=sum(max(each - number, 0) for number in got),
            dead=self.school.count_messages(f"{EMAILS}-dead"),
        )

    def _check_given_up(self, students: set[str]) -> None:
        """Dead letters are not requeued, and their rows record the failure."""
        rows = [row for row in self.school.rows("enrollments") if row["student"]["S"] in students]
        assert all("email_failed_at" in row and "email_pending" not in row for row in rows), rows


FAULTS = [
    "none", "thrice", "killed", "ses_fails", "ses_throttles", "ses_is_mute", "poison", "dynamodb_fails",
    "sqs_refuses", "outage", "indexes_lag", "back_again", "back_after_email",
]  # fmt: skip


def run(school: School, number: int, fault: str) -> list[Row]:
    """Run one fault, from a state without faults to the next one."""
    school.end_faults()
    # What fails comes again so soon; but not while those who have it still wait for a free worker.
    school.set_visibility_timeout(EMAILS, 4 if number < 400 else 25)
    try:
        found: Row | list[Row] = getattr(Emails(school, number), fault)()
    finally:
        school.end_faults()
        school.set_visibility_timeout(EMAILS, 360)
    return found if isinstance(found, list) else [found]


def _address(student: Any) -> str:
    return f"{student.username}@example.org"
