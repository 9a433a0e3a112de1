"""Calls to DynamoDB and capacity units of enrolling, waiting and leaving in a course with a capacity.

    .venv/bin/python -m benchmarks.places

The units are counted as in `growth`. The course is not cached.
"""

from collections.abc import Callable

from benchmarks.growth import Usage, measured_usage
from benchmarks.measuring import markdown_table
from benchmarks.stage import running_stage
from chalicelib.adapters.cache.client import client
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.services import enrollments, place_settlement, waitlist
from tests.factories import create_course, create_user

_CAPACITY = 100  # as many as one step settles
_COLUMNS = ["operation", "calls", "read units", "write units"]


def main() -> None:
    """Start a stage and print the table."""
    with running_stage():
        usages = {
            "enroll, without a capacity": _enroll(_create_course(capacity=None)),
            "enroll": _enroll(_create_course()),
            "enroll in a full course": _enroll_in_full_course(),
            "join the waitlist": _join_waitlist(),
            "leave, without a capacity": _leave_unlimited(),
            "leave": _leave(is_settled=True),
            "leave before the number is settled": _leave(is_settled=False),
            "leave the waitlist": _leave_waitlist(),
            "settle the number of an enrolled student": _settle(enrolled=1),
            f"settle those of {_CAPACITY} enrolled students": _settle(enrolled=_CAPACITY),
            "enroll a student who waits": _promote(1),
            f"enroll {_CAPACITY} students who wait": _promote(_CAPACITY),
        }
    rows = [[name, str(usage.calls), f"{usage.reads:g}", f"{usage.writes:g}"] for name, usage in usages.items()]
    print(markdown_table(_COLUMNS, rows))


def _create_course(capacity: int | None = _CAPACITY) -> Course:
    return create_course(create_user(Role.INSTRUCTOR), capacity=capacity, waitlist=2 * _CAPACITY)


def _enroll(course: Course) -> Usage:
    student = create_user(Role.STUDENT)
    return _usage(lambda: enrollments.enroll(student, course.id))


def _enroll_in_full_course() -> Usage:
    course, _ = _create_course_with_students(1)
    student = create_user(Role.STUDENT)

    def be_refused() -> None:
        try:
            enrollments.enroll(student, course.id)
        except Conflict:
            return
        raise AssertionError("the course is not full")

    return _usage(be_refused)


def _join_waitlist() -> Usage:
    course, _ = _create_course_with_students(1)
    student = create_user(Role.STUDENT)
    return _usage(lambda: enrollments.enroll_or_wait(student, course.id))


def _leave_unlimited() -> Usage:
    student = create_user(Role.STUDENT)
    enrollment = enrollments.enroll(student, _create_course(capacity=None).id)
    return _usage(lambda: enrollments.withdraw(student, enrollment.id))


def _leave(*, is_settled: bool) -> Usage:
    course, [(student, entry_id)] = _create_course_with_students(1)
    if is_settled:
        _settle_all(course)
    return _usage(lambda: enrollments.withdraw(student, entry_id))


def _leave_waitlist() -> Usage:
    _, [_, (student, entry_id)] = _create_course_with_students(1, waiting=1)
    return _usage(lambda: waitlist.leave(student, entry_id))


def _settle(*, enrolled: int) -> Usage:
    course, _ = _create_course_with_students(enrolled)
    return _usage(lambda: _settle_all(course))


def _promote(number: int) -> Usage:
    course, joined = _create_course_with_students(number, waiting=number)
    _settle_all(course)
    for student, entry_id in joined[:number]:
        enrollments.withdraw(student, entry_id)
    return _usage(lambda: _settle_all(course))


def _create_course_with_students(enrolled: int, waiting: int = 0) -> tuple[Course, list[tuple[Caller, str]]]:
    """Return a full course with the students in the order of their numbers, and the IDs of their rows."""
    course = _create_course(capacity=enrolled)
    students = [create_user(Role.STUDENT) for _ in range(enrolled + waiting)]
    return course, [(student, enrollments.enroll_or_wait(student, course.id).id) for student in students]


def _settle_all(course: Course) -> None:
    for _ in place_settlement.settle(course.id, 0):
        pass


def _usage(run: Callable[[], object]) -> Usage:
    client().flushall()
    with measured_usage() as usage:
        run()
    return usage


if __name__ == "__main__":
    main()
