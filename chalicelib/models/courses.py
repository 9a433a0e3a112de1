"""Courses, by id."""

from collections.abc import Sequence

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute, VersionAttribute

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
    version = VersionAttribute()

    @classmethod
    def find(cls, course_id: str) -> "Course | None":
        """The course of this id, read consistently."""
        try:
            return cls.get(course_id, consistent_read=True)
        except cls.DoesNotExist:
            return None

    @classmethod
    def find_all(cls, course_ids: Sequence[str]) -> "list[Course]":
        """The courses of these ids that exist, in that order, read consistently."""
        found = {course.id: course for course in cls.batch_get(list(course_ids), consistent_read=True)}
        return [found[course_id] for course_id in course_ids if course_id in found]
