"""Emails that confirm an enrollment."""

from collections.abc import Callable
from functools import partial

from chalicelib.adapters.ses import EmailMessage
from chalicelib.core import ids
from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.base import get_together
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.services.email_rendering import render


def find(enrollment_id: str) -> tuple[User, Callable[[str], EmailMessage]] | None:
    """Return the recipient of an enrollment's email, and a function that renders it with an unsubscribe URL.

    Return None if the enrollment, student or course was deleted. All are read by one call.
    """
    keys = ids.parse_enrollment_id(enrollment_id)
    if keys is None:
        return None
    student_id, course_id, suffix = keys
    enrollment, student, course = get_together(
        (Enrollment, (student_id, course_id)), (User, (student_id,)), (Course, (course_id,))
    )
    if enrollment is None or enrollment.is_waiting or student is None or course is None:
        return None
    if enrollment.suffix != suffix or student.deleted_at or course.deleted_at:
        return None
    return student, partial(_compose, EmailKind(enrollment.email_kind), student, course)


def _compose(kind: EmailKind, student: User, course: Course, unsubscribe_url: str) -> EmailMessage:
    values = {"student": str(student.username), "course": str(course.title), "owner": str(course.owner)}
    return render(kind, str(student.email), values, unsubscribe_url=unsubscribe_url)
