"""Writes of enrollments that meet another write after their read: an ended one stays ended."""

from collections.abc import Callable

import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.models.enrollments import AlreadyEnrolled, Enrollment
from chalicelib.services import enrollments
from tests.factories import create_course, remove_enrollment

AT = "2026-11-22T09:30:00.000000Z"


def enrollment_of(enrollment_id: str) -> Enrollment:
    enrollment = Enrollment.find(enrollment_id)
    assert enrollment is not None
    return enrollment


@pytest.mark.parametrize(
    "mark",
    [
        lambda row: row.mark_email_sent(),
        lambda row: row.mark_email_failed(AT, "MessageRejected"),
    ],
    ids=["sent", "failed"],
)
def test_mark_of_an_ended_enrollment_does_nothing(
    owner: Caller, student: Caller, mark: Callable[[Enrollment], None]
) -> None:
    course = create_course(owner)
    ended = enrollments.enroll(student, course.id)
    remove_enrollment(ended)

    mark(ended)
    assert [*Enrollment.scan()] == []

    current = enrollments.enroll(student, course.id)
    mark(ended)
    kept = enrollment_of(current.id)
    assert [kept.email_pending, kept.email_failed, kept.email_failed_at, kept.email_error] == ["0", None, None, None]


def test_marks_of_an_email(owner: Caller, student: Caller) -> None:
    enrollment = enrollments.enroll(student, create_course(owner).id)

    def marks() -> list[str | None]:
        row = enrollment_of(enrollment.id)
        return [row.email_pending, row.email_failed, row.email_failed_at, row.email_error]

    assert marks() == ["0", None, None, None]
    enrollment.mark_email_failed(AT, "MessageRejected")
    assert marks() == [None, "0", AT, "MessageRejected"]
    enrollment.mark_email_sent()
    assert marks() == [None, None, None, None]


def test_deletion_keeps_a_second_enrollment(owner: Caller, student: Caller) -> None:
    course = create_course(owner)
    ended = enrollments.enroll(student, course.id)
    remove_enrollment(ended)
    current = enrollments.enroll(student, course.id)

    assert Enrollment.delete_batch([ended], clock.timestamp()) == 0
    assert Enrollment.find(current.id) is not None
    assert Enrollment.find(ended.id) is None


def test_enrollment_of_another_call_is_not_overwritten(owner: Caller, student: Caller) -> None:
    first = enrollments.enroll(student, create_course(owner).id)

    with pytest.raises(AlreadyEnrolled):
        Enrollment.new(student.id, first.course, AT, "r").insert()
    assert enrollment_of(first.id).request_id == first.request_id
