"""Enrollment emails."""

from datetime import datetime

from chalicelib.adapters import ses
from chalicelib.core import clock
from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.observability.logs import event_log
from chalicelib.services import email_rendering

MAX_SEND_SECONDS = ses.MAX_SEND_SECONDS + 5  # with the reads and writes of one email


def send_enrollment_email(enrollment_id: str) -> None:
    """Send a student the confirmation of an enrollment, unless the enrollment, student or course was deleted."""
    enrollment = Enrollment.find(enrollment_id)
    student = User.find(enrollment.student) if enrollment else None
    course = Course.find(enrollment.course) if enrollment else None
    if enrollment is None or student is None or course is None:
        event_log.info("Enrollment email skipped: the enrollment was deleted", enrollment=enrollment_id)
        return
    message_id = ses.send(_enrollment_email(student, course))
    event_log.info("Enrollment email sent", enrollment=enrollment_id, message_id=message_id)


def mark_enrollment_email_sent(enrollment_id: str) -> None:
    """Clear the pending email of an enrollment, unless it was deleted."""
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is not None and (enrollment.email_pending or enrollment.email_failed_at):
        enrollment.mark_email_sent()


def mark_enrollment_email_failed(enrollment_id: str, error: str, now: datetime) -> None:
    """Record that the email of an enrollment is given up, with SES's error code. Only a redrive sends it."""
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is not None and enrollment.email_pending:
        enrollment.mark_email_failed(clock.format_timestamp(now), error)


def _enrollment_email(student: User, course: Course) -> ses.EmailMessage:
    values = {"student": student.username, "course": course.title, "owner": course.owner}
    return email_rendering.render(EmailKind.ENROLLMENT, student.email, values)
