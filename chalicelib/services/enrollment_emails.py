"""Emails that confirm an enrollment."""

from chalicelib.adapters.ses import EmailMessage
from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.services.email_rendering import render


def compose(enrollment: Enrollment, student: User, unsubscribe_url: str) -> EmailMessage | None:
    """Return the email as it is sent, or None if the course was deleted."""
    course = Course.find(enrollment.course)
    if course is None:
        return None
    values = {"student": str(student.username), "course": str(course.title), "owner": str(course.owner)}
    return render(EmailKind.ENROLLMENT, str(student.email), values, unsubscribe_url=unsubscribe_url)
