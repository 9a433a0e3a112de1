"""Enrollments by student and course, with indexes by time (per student, per course, in total) and by pending email."""

import heapq
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.core import ids
from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.base import (
    ConditionFailed,
    Extend,
    Table,
    TableMeta,
    Transaction,
    access_together,
    add_nothing,
    try_conditional,
)
from chalicelib.models.enrollment_indexes import ByCourse, ByEmailFailed, ByEmailPending, ByStudent, ByTime
from chalicelib.models.ledger import Event, record_deletion
from chalicelib.models.pending_emails import read_in_batches
from chalicelib.models.shards import all_shards, shard_of

MAX_DELETE_BATCH_SIZE = 33  # a transaction has at most 100 items: three for each enrollment, and one condition


class AlreadyEnrolled(ConditionFailed):
    """The student is enrolled in the course."""


class Enrollment(Table):
    """The enrollment of a student in a course. A second enrollment after a withdrawal has another suffix."""

    class Meta(TableMeta):
        name = "enrollments"

    student = UnicodeAttribute(hash_key=True)
    course = UnicodeAttribute(range_key=True)
    suffix = UnicodeAttribute()
    place_number = NumberAttribute(null=True)  # in a course with a capacity
    waiting_since = UnicodeAttribute(null=True)  # of who waits or has waited for a place (RFC 3339)
    # Who waits for a place has none of these, and so is in no index.
    sort_key = UnicodeAttribute(null=True)  # the creation (RFC 3339), and the keys
    shard = UnicodeAttribute(null=True)
    course_shard = UnicodeAttribute(null=True)
    request_id = UnicodeAttribute()  # of the request that created it; the email worker logs under this ID
    email_pending = UnicodeAttribute(null=True)  # the shard while the email is not sent; then removed from the index
    email_failed = UnicodeAttribute(null=True)  # the shard while the email is given up; the partition of the index
    email_failed_at = UnicodeAttribute(null=True)  # when it was given up (RFC 3339)
    email_error = UnicodeAttribute(null=True)  # why: the error code of SES
    by_student = ByStudent()
    by_course = ByCourse()
    by_time = ByTime()
    by_email_pending = ByEmailPending()
    by_email_failed = ByEmailFailed()

    @property
    def id(self) -> str:
        """The enrollment's ID in the API."""
        return ids.enrollment_id(self.student, self.course, self.suffix)

    @property
    def email_kind(self) -> str:
        """What the email of this row is about, as `EmailKind` names it."""
        return EmailKind.PLACE_AVAILABLE if self.waiting_since else EmailKind.ENROLLMENT

    @property
    def recipient_id(self) -> str:
        """The user who gets the email."""
        return str(self.student)

    @property
    def created_at(self) -> str:
        """The creation (RFC 3339)."""
        return str(self.sort_key).partition("#")[0]

    @property
    def is_waiting(self) -> bool:
        """Whether the student waits for a place, and is not enrolled."""
        return self.sort_key is None

    @property
    def is_email_pending(self) -> bool:
        """Whether the email is not sent yet."""
        return self.email_pending is not None

    @classmethod
    def new(
        cls, student: str, course: str, created_at: str, request_id: str, suffix: str | None = None
    ) -> "Enrollment":
        """Return an enrollment with a pending email, not yet saved."""
        shard = shard_of(student)
        return cls(
            student,
            course,
            suffix=suffix or ids.new_suffix(),
            sort_key=f"{created_at}#{student}{course}",
            shard=shard,
            course_shard=f"{course}#{shard}",
            request_id=request_id,
            email_pending=shard,
        )

    @classmethod
    def with_id(cls, enrollment_id: str) -> "Enrollment | None":
        """Return an enrollment that has its ID alone, without reading it; None if the ID is malformed."""
        keys = ids.parse_enrollment_id(enrollment_id)
        return cls(keys[0], keys[1], suffix=keys[2]) if keys else None

    @classmethod
    def find(cls, enrollment_id: str) -> "Enrollment | None":
        """Return the enrollment, by a consistent read."""
        keys = ids.parse_enrollment_id(enrollment_id)
        if keys is None:
            return None
        student, course, suffix = keys
        row = cls.find_by_student_and_course(student, course)
        return row if row is not None and row.suffix == suffix else None

    @classmethod
    def find_by_student_and_course(cls, student: str, course: str) -> "Enrollment | None":
        """Return the enrollment of a student in a course, by a consistent read."""
        return cls.get_or_none(student, course)

    @classmethod
    def filter_enrolled(cls, student: str, courses: Sequence[str]) -> set[str]:
        """Return those of these courses in which a student is enrolled, and not only waiting; by consistent reads."""
        rows = cls.batch_get([(student, course) for course in courses], consistent_read=True)
        return {row.course for row in rows if not row.is_waiting}

    @classmethod
    def list_of_student(cls, student: str, *, after: str | None, backward: bool, limit: int) -> list["Enrollment"]:
        """Return up to ``limit`` enrollments of a student, newest first, after a sort key; by a consistent read."""
        rows = cls.by_student.query(
            student,
            _after(after, backward),
            scan_index_forward=backward,
            limit=limit,
            page_size=limit,
            consistent_read=True,
        )
        return [*rows]

    @classmethod
    def list_of_course(cls, course: str, *, after: str | None, backward: bool, limit: int) -> list["Enrollment"]:
        """Return up to ``limit`` of a course, newest first, after a sort key; by an eventually consistent index."""
        partitions = [f"{course}#{shard}" for shard in all_shards()]
        return _merge_shards(cls.by_course, partitions, after, backward, limit)

    @classmethod
    def list_all(cls, *, after: str | None, backward: bool, limit: int) -> list["Enrollment"]:
        """Return up to ``limit`` of all, newest first, after a sort key; by an eventually consistent index."""
        return _merge_shards(cls.by_time, all_shards(), after, backward, limit)

    @classmethod
    def all_of_student(cls, student: str, after: str = "") -> Iterator["Enrollment"]:
        """Return the enrollments of a student after a course ID, by consistent reads."""
        return cls.query(student, cls.course > after if after else None, consistent_read=True)

    @classmethod
    def all_of_course(cls, course: str) -> Iterator["Enrollment"]:
        """Return the enrollments of a course, with the attributes that a deletion needs; by the index."""
        for shard in all_shards():
            yield from cls.by_course.query(f"{course}#{shard}")

    @classmethod
    def created_between(cls, first: str, last: str) -> Iterator[tuple[str, str]]:
        """Return creation and ID of the enrollments created from ``first`` to ``last`` (RFC 3339), oldest first.

        By the index, eventually consistent.
        """
        created = cls.sort_key.between(first, last + "#~")
        shards = (cls.by_time.query(shard, created) for shard in all_shards())
        rows = heapq.merge(*shards, key=lambda row: str(row.sort_key))
        return ((row.created_at, row.id) for row in rows)

    @classmethod
    def pending_emails(cls, shard: str, after: str, before: str) -> Iterator[tuple[str, list["Enrollment"]]]:
        """Return the enrollments of a shard with a pending email, oldest first, in batches: by the index.

        Of those whose sort key is after ``after`` and before ``before``, read consistently. Each batch comes with the
        sort key at which it ends.
        """
        if after >= before:  # of a clock that was corrected: DynamoDB rejects such bounds
            return iter(())
        keys = cls.by_email_pending.query(shard, cls.sort_key.between(after + "\0", before))
        return read_in_batches(
            keys, lambda batch: cls.batch_get([(row.student, row.course) for row in batch], consistent_read=True)
        )

    @classmethod
    def failed_emails(cls) -> Iterator["Enrollment"]:
        """Return the enrollments whose email was given up, read consistently: by the index."""
        for shard in all_shards():
            keys = [(row.student, row.course) for row in cls.by_email_failed.query(shard)]
            yield from (row for row in cls.batch_get(keys, consistent_read=True) if row.email_failed)

    @classmethod
    def delete_batch(cls, batch: Sequence["Enrollment"], at: str, extend: Extend = add_nothing) -> int:
        """Delete up to MAX_DELETE_BATCH_SIZE enrollments and record them in the ledger, in one transaction.

        Return how many were deleted: those that were deleted before are skipped. ``extend`` adds at most one more item.

        Raises:
            ConditionFailed: The condition of that item failed.
        """
        remaining = [*batch]
        while remaining:
            transaction = Transaction()
            extend(transaction)
            for row in remaining:
                row.add_deletion(transaction, at)
            try:
                transaction.run()
                break
            except ConditionFailed as error:
                if others := error.failed - {row.id for row in remaining}:
                    raise ConditionFailed(others) from error
                remaining = [row for row in remaining if row.id not in error.failed]
        return len(remaining)

    def insert(self, extend: Extend = add_nothing) -> None:
        """Save the enrollment, in one transaction with the items that ``extend`` adds.

        Raises:
            AlreadyEnrolled: The student is enrolled already.
            ConditionFailed: The condition of another item failed.
        """
        transaction = Transaction()
        transaction.put(self, Enrollment.student.does_not_exist(), label="enrollment")
        extend(transaction)
        try:
            transaction.run()
        except ConditionFailed as error:
            if "enrollment" in error.failed:
                raise AlreadyEnrolled(error.failed) from error
            raise

    def add_deletion(self, transaction: Transaction, at: str) -> None:
        """Delete the row in a transaction, and record it in the ledger if the student is enrolled.

        The condition, with the ID as its label, is that it was not deleted, and the student got no place, since it
        was read.
        """
        unchanged = Enrollment.suffix == self.suffix
        if self.is_waiting:
            unchanged &= Enrollment.sort_key.does_not_exist()
        else:
            record_deletion(
                transaction, Event.ENROLLMENT_CREATED, Event.ENROLLMENT_DELETED, self.id, self.created_at, at
            )
        transaction.delete(self, unchanged, label=self.id)

    def mark_email_sent(self) -> None:
        """Clear the pending email, unless the enrollment was deleted."""
        attributes = (
            Enrollment.email_pending,
            Enrollment.email_failed,
            Enrollment.email_failed_at,
            Enrollment.email_error,
        )
        actions: list[Action] = [attribute.remove() for attribute in attributes]
        try_conditional(lambda: self.update(actions, condition=Enrollment.suffix == self.suffix))

    def mark_email_failed(self, at: str, error: str) -> None:
        """Clear the pending email and record its failure, unless it is not pending any more."""
        is_pending = (Enrollment.suffix == self.suffix) & Enrollment.email_pending.exists()
        actions: list[Action] = [
            Enrollment.email_pending.remove(),
            Enrollment.email_failed.set(shard_of(self.student)),
            Enrollment.email_failed_at.set(at),
            Enrollment.email_error.set(error),
        ]
        try_conditional(lambda: self.update(actions, condition=is_pending))


def _merge_shards(
    index: ByCourse | ByTime, partitions: list[str], after: str | None, backward: bool, limit: int
) -> list[Enrollment]:
    """Return one list from the shards of an index. Any shard may contain all ``limit`` rows."""
    condition = _after(after, backward)

    def rows_of(partition: str) -> list[Enrollment]:
        return [*index.query(partition, condition, scan_index_forward=backward, limit=limit, page_size=limit)]

    shards = access_together([Enrollment], [partial(rows_of, partition) for partition in partitions])
    merged = heapq.merge(*shards, key=lambda row: str(row.sort_key), reverse=not backward)
    return [*islice(merged, limit)]


def _after(sort_key: str | None, backward: bool) -> Condition | None:
    if sort_key is None:
        return None
    return Enrollment.sort_key > sort_key if backward else Enrollment.sort_key < sort_key
