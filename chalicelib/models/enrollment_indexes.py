"""The indexes of the table of enrollments."""

from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection, LocalSecondaryIndex


class ByStudent(LocalSecondaryIndex[Any]):
    """The enrollments of a student, by time."""

    class Meta:
        index_name = "by-student"
        projection = IncludeProjection(["suffix"])

    student = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class ByCourse(GlobalSecondaryIndex[Any]):
    """The enrollments of a course, by shard and time."""

    class Meta:
        index_name = "by-course"
        projection = IncludeProjection(["suffix"])

    course_shard = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class ByTime(GlobalSecondaryIndex[Any]):
    """All enrollments, by shard and time."""

    class Meta:
        index_name = "by-time"
        projection = IncludeProjection(["suffix"])

    shard = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class ByEmailPending(GlobalSecondaryIndex[Any]):
    """The enrollments whose email is not sent yet, by shard and time."""

    class Meta:
        index_name = "by-email-pending"
        projection = KeysOnlyProjection()

    email_pending = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class ByEmailFailed(GlobalSecondaryIndex[Any]):
    """The enrollments whose email was given up, by shard and the time of that."""

    class Meta:
        index_name = "by-email-failed"
        projection = IncludeProjection(["suffix", "email_error"])

    email_failed = UnicodeAttribute(hash_key=True)
    email_failed_at = UnicodeAttribute(range_key=True)
