"""What hangs on a deleted course or user goes, in batches, and again from where it stopped."""

from collections.abc import Iterable, Iterator

from chalicelib.callers import Caller
from chalicelib.models import course_lists, ledger
from chalicelib.models.course_lists import CourseListRow
from chalicelib.models.enrollments import Enrollment, all_shards
from chalicelib.models.ledger import LedgerEntry
from chalicelib.models.lessons import Lesson
from chalicelib.models.sessions import Session
from chalicelib.roles import Role
from chalicelib.services import courses

_BATCH = 25


def of_course(course_id: str, deleted_at: str) -> Iterator[int]:
    """Remove the lessons and enrollments of a course that was deleted at a moment; gives how many, batch by batch."""
    with Lesson.batch_write() as batch:
        for lesson in Lesson.query(course_id, consistent_read=True):
            batch.delete(lesson)
            yield 1
    for shard in all_shards():
        yield from _enrollments(Enrollment.of_course.query(f"{course_id}#{shard}"), deleted_at)


def of_user(user_id: str, deleted_at: str) -> Iterator[int]:
    """Remove the sessions, enrollments and drafts of a user who was erased at a moment; gives how many, as above."""
    with Session.batch_write() as batch:
        for session in Session.query(user_id, consistent_read=True):
            batch.delete(session)
            yield 1
    yield from _enrollments(Enrollment.query(user_id, consistent_read=True), deleted_at)
    for row in CourseListRow.query(course_lists.by_date(course_lists.owned_by(user_id)), consistent_read=True):
        courses.delete(Caller(user_id, "", Role.INSTRUCTOR, session_id=""), row.course_id, None)
        yield 1


def _enrollments(rows: Iterable[Enrollment], deleted_at: str) -> Iterator[int]:
    batch: list[Enrollment] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield _end(batch, deleted_at)
            batch = []
    if batch:
        yield _end(batch, deleted_at)


def _end(rows: list[Enrollment], deleted_at: str) -> int:
    """Delete enrollments; their entries in the ledger first, which are the same when this runs again."""
    with LedgerEntry.batch_write() as entries:
        for row in rows:
            for entry in LedgerEntry.of_deleted(ledger.ENROLLMENT, row.id, row.created_at, deleted_at):
                entries.save(entry)
    with Enrollment.batch_write() as batch:
        for row in rows:
            batch.delete(row)
    return len(rows)
