"""Courses, by id."""

from collections.abc import Sequence

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute

from chalicelib.models.base import Table, table_name


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
