"""What hangs on a deleted course or user goes, one by one, and again from where it stopped."""

from collections.abc import Iterator

from chalicelib.callers import Caller
from chalicelib.models import course_lists
from chalicelib.models.course_lists import CourseListRow
from chalicelib.models.enrollments import Enrollment, all_shards
from chalicelib.models.lessons import Lesson
from chalicelib.models.sessions import Session
from chalicelib.roles import Role
from chalicelib.services import courses, enrollments


def of_course(course_id: str) -> Iterator[int]:
    """Remove a deleted course's lessons and enrollments; gives 1 for each."""
    with Lesson.batch_write() as batch:
        for lesson in Lesson.query(course_id, consistent_read=True):
            batch.delete(lesson)
            yield 1
    for shard in all_shards():
        for enrollment in Enrollment.of_course.query(f"{course_id}#{shard}"):
            yield int(enrollments.remove(enrollment))


def of_user(user_id: str) -> Iterator[int]:
    """Remove an erased user's sessions, enrollments and drafts; gives 1 for each."""
    with Session.batch_write() as batch:
        for session in Session.query(user_id, consistent_read=True):
            batch.delete(session)
            yield 1
    for enrollment in Enrollment.query(user_id, consistent_read=True):
        yield int(enrollments.remove(enrollment))
    for row in CourseListRow.query(course_lists.by_date(course_lists.owned_by(user_id)), consistent_read=True):
        courses.delete(Caller(user_id, "", Role.INSTRUCTOR, session_id=""), row.course_id, None)
        yield 1
        yield from of_course(row.course_id)  # nobody could enroll in it any more when the account was erased
