"""Enrollments, by student and course; in order of time by student, by course and all; and those that owe an email."""

import heapq
import zlib
from collections.abc import Iterator
from itertools import islice

from pynamodb.attributes import UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection, LocalSecondaryIndex

from chalicelib.core import ids
from chalicelib.core.config import settings
from chalicelib.models.base import Table, held, table_name

_READ_AT_ONCE = 100  # BatchGetItem's limit


class _OfStudent(LocalSecondaryIndex["Enrollment"]):
    class Meta:
        index_name = "of-student"
        projection = IncludeProjection(["nonce"])

    student = UnicodeAttribute(hash_key=True)
    position = UnicodeAttribute(range_key=True)


class _OfCourse(GlobalSecondaryIndex["Enrollment"]):
    class Meta:
        index_name = "of-course"
        projection = IncludeProjection(["nonce"])

    course_shard = UnicodeAttribute(hash_key=True)
    position = UnicodeAttribute(range_key=True)


class _All(GlobalSecondaryIndex["Enrollment"]):
    class Meta:
        index_name = "all"
        projection = IncludeProjection(["nonce"])

    shard = UnicodeAttribute(hash_key=True)
    position = UnicodeAttribute(range_key=True)


class _AwaitingEmail(GlobalSecondaryIndex["Enrollment"]):
    class Meta:
        index_name = "awaiting-email"
        projection = KeysOnlyProjection()

    email_pending = UnicodeAttribute(hash_key=True)
    position = UnicodeAttribute(range_key=True)


class Enrollment(Table):
    """A student in a course. Who leaves and comes back has a new one, by its random part."""

    class Meta:
        table_name = table_name("enrollments")

    student = UnicodeAttribute(hash_key=True)
    course = UnicodeAttribute(range_key=True)
    nonce = UnicodeAttribute()
    position = UnicodeAttribute()
    """When it was made (RFC 3339), and its keys: its place in every list."""
    shard = UnicodeAttribute()
    course_shard = UnicodeAttribute()
    request_id = UnicodeAttribute()
    """The request that made it; what follows from it logs under this id."""
    email_pending = UnicodeAttribute(null=True)
    """The shard of the email that is owed; gone once it is sent, and the row from the index with it."""
    email_asked_at = UnicodeAttribute(null=True)
    """When the sweeper put its message into the queue (RFC 3339); null if only enrolling did."""
    email_failed_at = UnicodeAttribute(null=True)
    """When its email was given up, and its message became a dead letter (RFC 3339)."""
    of_student = _OfStudent()
    of_course = _OfCourse()
    all = _All()
    awaiting_email = _AwaitingEmail()

    @property
    def id(self) -> str:
        """What the API calls it."""
        return ids.enrollment(self.student, self.course, self.nonce)

    @property
    def created_at(self) -> str:
        """When it was made (RFC 3339)."""
        return str(self.position).partition("#")[0]

    @classmethod
    def new(cls, student: str, course: str, created_at: str, request_id: str) -> "Enrollment":
        """An enrollment that owes an email, not yet saved."""
        shard = str(zlib.crc32(student.encode()) % settings().enrollment_shards)
        return cls(
            student,
            course,
            nonce=ids.nonce(),
            position=f"{created_at}#{student}{course}",
            shard=shard,
            course_shard=f"{course}#{shard}",
            request_id=request_id,
            email_pending=shard,
        )

    @classmethod
    def find(cls, enrollment_id: str) -> "Enrollment | None":
        """The enrollment of this id, read consistently."""
        keys = ids.split_enrollment(enrollment_id)
        if keys is None:
            return None
        student, course, nonce = keys
        found = cls.find_pair(student, course)
        return found if found is not None and found.nonce == nonce else None

    @classmethod
    def find_pair(cls, student: str, course: str) -> "Enrollment | None":
        """The enrollment of a student in a course, read consistently."""
        return cls.row(student, course)

    def insert(self) -> bool:
        """Save it unless the student is in the course already; whether it was saved."""
        if held(lambda: self.save(Enrollment.student.does_not_exist())):
            return True
        # It can be there by this very call: botocore tries again when an answer is lost on its way.
        there = Enrollment.find_pair(self.student, self.course)
        return there is not None and there.nonce == self.nonce

    def mark_email_sent(self) -> None:
        """Take it off the list of those that owe an email; nothing if it ended meanwhile."""
        done = [Enrollment.email_pending.remove(), Enrollment.email_failed_at.remove()]
        held(lambda: self.update([*done], condition=Enrollment.nonce == self.nonce))

    def give_up_email(self, moment: str) -> None:
        """Take it off the list of those that owe an email, and note that it was never sent."""
        done = [Enrollment.email_pending.remove(), Enrollment.email_failed_at.set(moment)]
        held(lambda: self.update([*done], condition=Enrollment.nonce == self.nonce))

    def note_email_asked(self, moment: str) -> None:
        """Note that the sweeper has put its message into the queue; nothing if the email is sent by now."""
        owed = (Enrollment.nonce == self.nonce) & Enrollment.email_pending.exists()
        held(lambda: self.update([Enrollment.email_asked_at.set(moment)], condition=owed))

    @classmethod
    def owing_emails(cls, before: str) -> "Iterator[Enrollment]":
        """Those made before a moment (RFC 3339) that owe an email: found by the index, read consistently."""
        for shard in all_shards():
            keys = cls.awaiting_email.query(shard, cls.position < before)
            while batch := [(row.student, row.course) for row in islice(keys, _READ_AT_ONCE)]:
                yield from (row for row in cls.batch_get(batch, consistent_read=True) if row.email_pending)

    @classmethod
    def list_of_student(cls, student: str, *, after: str | None, back: bool, limit: int) -> "Rows":
        """Up to ``limit`` of a student, newest first, behind a position; consistent."""
        return [
            *cls.of_student.query(
                student,
                _behind(after, back),
                scan_index_forward=back,
                limit=limit,
                page_size=limit,
                consistent_read=True,
            )
        ]

    @classmethod
    def list_of_course(cls, course: str, *, after: str | None, back: bool, limit: int) -> "Rows":
        """Up to ``limit`` of a course, newest first, behind a position; by an index that lags a little."""
        return _merged(cls.of_course, [f"{course}#{shard}" for shard in all_shards()], after, back, limit)

    @classmethod
    def list_all(cls, *, after: str | None, back: bool, limit: int) -> "Rows":
        """Up to ``limit`` of all, newest first, behind a position; by an index that lags a little."""
        return _merged(cls.all, all_shards(), after, back, limit)

    @classmethod
    def ids_created(cls, first: str, last: str) -> set[str]:
        """The ids of those made from ``first`` to ``last`` (RFC 3339), by the index."""
        made = cls.position.between(first, last + "#~")
        return {row.id for shard in all_shards() for row in cls.all.query(shard, made)}

    @classmethod
    def in_course(cls, course: str) -> "Iterator[Enrollment]":
        """All of a course, by the index; each with what its deletion needs."""
        for shard in all_shards():
            yield from cls.of_course.query(f"{course}#{shard}")


Rows = list[Enrollment]


def all_shards() -> list[str]:
    """The shards of this stage's indexes."""
    return [str(number) for number in range(settings().enrollment_shards)]


def _merged(index: _OfCourse | _All, partitions: list[str], after: str | None, back: bool, limit: int) -> Rows:
    """One list out of an index's shards: as many rows of each as could be wanted of all."""

    def rows_of(partition: str) -> Iterator[Enrollment]:
        return index.query(partition, _behind(after, back), scan_index_forward=back, limit=limit, page_size=limit)

    merged = heapq.merge(*map(rows_of, partitions), key=lambda row: str(row.position), reverse=not back)
    return [row for row, _ in zip(merged, range(limit), strict=False)]


def _behind(after: str | None, back: bool) -> Condition | None:
    if after is None:
        return None
    return Enrollment.position > after if back else Enrollment.position < after
