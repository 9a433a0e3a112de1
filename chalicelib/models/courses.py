"""Courses, by id."""

from collections.abc import Iterator, Sequence

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib.models.base import Table, held, table_name

DELETED = "deleted"


class _Ended(GlobalSecondaryIndex["Course"]):
    class Meta:
        index_name = "ended"
        projection = KeysOnlyProjection()

    ended = UnicodeAttribute(hash_key=True)
    deleted_at = UnicodeAttribute(range_key=True)


class Course(Table):
    """A course. Every change of it, or of its number of lessons, bumps the version."""

    class Meta:
        table_name = table_name("courses")

    id = UnicodeAttribute(hash_key=True)
    title = UnicodeAttribute()
    description = UnicodeAttribute()
    price_cents = NumberAttribute()
    is_published = BooleanAttribute()
    owner_id = UnicodeAttribute()
    owner = UnicodeAttribute()
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()
    lessons_count = NumberAttribute(default=0)
    version = NumberAttribute(default=1)
    """Not PynamoDB's version attribute: that one can't be checked without being bumped."""
    deleted_at = UnicodeAttribute(null=True)
    """The tombstone: to every reader the course is gone from this moment on."""
    ended = UnicodeAttribute(null=True)
    """DELETED on a tombstone, which the index of them is made of."""
    of_ended = _Ended()

    @classmethod
    def find(cls, course_id: str) -> "Course | None":
        """The course of this id unless it is deleted, read consistently."""
        course = cls.row(course_id)
        return None if course is None or course.deleted_at else course

    @classmethod
    def find_all(cls, course_ids: Sequence[str]) -> "dict[str, Course]":
        """Those of these ids that exist and are not deleted, read consistently."""
        found = cls.batch_get(list(dict.fromkeys(course_ids)), consistent_read=True)
        return {course.id: course for course in found if not course.deleted_at}

    @classmethod
    def deleted_before(cls, moment: str) -> "Iterator[Course]":
        """The ids, as rows, of the courses that were deleted before a moment (RFC 3339), by the index."""
        rows: Iterator[Course] = cls.of_ended.query(DELETED, cls.deleted_at < moment)
        return rows

    @classmethod
    def bury(cls, course_id: str, before: str) -> bool:
        """Remove the tombstone of a course that was deleted before a moment (RFC 3339); whether there was one."""
        return held(lambda: cls(course_id).delete(cls.deleted_at < before))
