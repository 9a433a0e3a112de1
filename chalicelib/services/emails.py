"""Emails: what is told to whom."""

import html
from datetime import datetime

from chalicelib.adapters import ses
from chalicelib.core import clock, resources
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.observability import logs

LONGEST_SECONDS = ses.LONGEST_SECONDS + 5
"""What one email can take: SES, and the reads and writes around it."""


def send_enrollment_email(enrollment_id: str) -> None:
    """Tell a student that they are enrolled; nothing if the enrollment, student or course is gone."""
    enrollment = Enrollment.find(enrollment_id)
    student = User.find(enrollment.student) if enrollment else None
    course = Course.find(enrollment.course) if enrollment else None
    extra: dict[str, object] = {"enrollment": enrollment_id}
    if enrollment is None or student is None or course is None:
        logs.events.info("No email for an enrollment that ended", extra={"extra": extra})
        return
    message_id = ses.send(_enrollment_mail(student, course))
    logs.events.info("Enrollment email sent", extra={"extra": extra | {"message_id": message_id}})


def mark_enrollment_email_sent(enrollment_id: str) -> None:
    """Note that an enrollment owes no email any more; nothing if it is gone."""
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is not None and (enrollment.email_pending or enrollment.email_failed_at):
        enrollment.mark_email_sent()


def give_up(enrollment_id: str, now: datetime) -> None:
    """Note that an enrollment's email could not be sent, so that nobody asks for it until it is redriven."""
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is not None and enrollment.email_pending:
        enrollment.give_up_email(clock.rfc3339(now))


def _enrollment_mail(student: User, course: Course) -> ses.Mail:
    names = {"student": student.username, "course": course.title, "owner": course.owner}
    return ses.Mail(
        to=student.email,
        subject=" ".join(f"You are enrolled in {course.title}".split()),
        text=resources.template("enrollment.txt").substitute(names),
        html=resources.template("enrollment.html").substitute(
            {name: html.escape(text) for name, text in names.items()}
        ),
    )
