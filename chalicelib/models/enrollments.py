"""Enrollments, by student and course; by month, and those whose email is not sent yet."""

import zlib

from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import PutError, UpdateError
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection

from chalicelib import ids
from chalicelib.models.base import Table, table_name
from chalicelib.settings import settings


class _ByMonth(GlobalSecondaryIndex["Enrollment"]):
    class Meta:
        index_name = "by-month"
        projection = KeysOnlyProjection()

    month_shard = UnicodeAttribute(hash_key=True)
    created_at = UnicodeAttribute(range_key=True)


class _EmailPending(GlobalSecondaryIndex["Enrollment"]):
    class Meta:
        index_name = "email-pending"
        projection = IncludeProjection(["nonce", "request_id"])

    email_pending = UnicodeAttribute(hash_key=True)
    created_at = UnicodeAttribute(range_key=True)


class Enrollment(Table):
    """A student in a course. Who leaves and comes back has a new one, by its random part."""

    class Meta:
        table_name = table_name("enrollments")

    student = UnicodeAttribute(hash_key=True)
    course = UnicodeAttribute(range_key=True)
    nonce = UnicodeAttribute()
    created_at = UnicodeAttribute()
    request_id = UnicodeAttribute()
    """The request that made it; what follows from it logs under this id."""
    month_shard = UnicodeAttribute()
    email_pending = UnicodeAttribute(null=True)
    """The shard of the email that is owed; gone once it is sent, and the row from the index with it."""
    by_month = _ByMonth()
    awaiting_email = _EmailPending()

    @property
    def id(self) -> str:
        """What the API calls it."""
        return ids.enrollment(self.student, self.course, self.nonce)

    @classmethod
    def new(cls, student: str, course: str, created_at: str, request_id: str) -> "Enrollment":
        """An enrollment that owes an email, not yet saved."""
        shard = _shard(student)
        return cls(
            student,
            course,
            nonce=ids.nonce(),
            created_at=created_at,
            request_id=request_id,
            month_shard=f"{created_at[:7]}#{shard}",
            email_pending=f"email#{shard}",
        )

    @classmethod
    def find(cls, enrollment_id: str) -> "Enrollment | None":
        """The enrollment of this id, read consistently."""
        keys = ids.split_enrollment(enrollment_id)
        if keys is None:
            return None
        student, course, nonce = keys
        try:
            found = cls.get(student, course, consistent_read=True)
        except cls.DoesNotExist:
            return None
        return found if found.nonce == nonce else None

    def insert(self) -> bool:
        """Save it unless the student is in the course already; whether it was saved."""
        try:
            self.save(Enrollment.student.does_not_exist())
        except PutError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def mark_email_sent(self) -> None:
        """Take it off the list of those that owe an email; nothing if it ended meanwhile."""
        try:
            self.update([Enrollment.email_pending.remove()], condition=Enrollment.nonce == self.nonce)
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise

    @classmethod
    def count_created(cls, first: str, last: str) -> int:
        """How many of one month were made from ``first`` to ``last`` (RFC 3339), by the index."""
        return sum(
            cls.by_month.count(f"{first[:7]}#{shard}", cls.created_at.between(first, last)) for shard in all_shards()
        )


def all_shards() -> list[str]:
    """The shards of this stage's indexes."""
    return [str(number) for number in range(settings().enrollment_shards)]


def _shard(student: str) -> str:
    return str(zlib.crc32(student.encode()) % settings().enrollment_shards)
