"""Enrollments: who is in which course."""

from datetime import datetime

from chalicelib import clock, ids, logs, queue
from chalicelib.callers import Caller
from chalicelib.errors import Conflict, Forbidden, Invalid
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.roles import Role


def enroll(caller: Caller, course_id: str, now: datetime | None = None) -> Enrollment:
    """Put the caller into a course, and an email to them on its way.

    The row itself says that an email is owed, so that none is lost when the queue is out of reach.

    Raises Forbidden for who is not a student, Invalid for a course that is not open, Conflict for
    who is in it already.
    """
    if caller.role is not Role.STUDENT:
        raise Forbidden("Only students enroll.")
    course = Course.find(course_id) if ids.is_entity(course_id) else None
    if course is None or not course.is_published:
        raise Invalid.field("course", "does_not_exist", "There is no such course to enroll in.")
    moment = clock.rfc3339(now or clock.now())
    enrollment = Enrollment.new(caller.id, course.id, moment, logs.request_id.get())
    if not enrollment.insert():
        raise Conflict("You are enrolled in this course already.")
    queue.send_enrollment(enrollment.id, enrollment.request_id)
    return enrollment
