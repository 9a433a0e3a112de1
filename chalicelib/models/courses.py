"""Courses: the table and its transactional writes."""

from collections.abc import Iterator, Sequence

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib.core.audiences import LessonAudience
from chalicelib.core.caller import Caller
from chalicelib.core.errors import RetryLater
from chalicelib.models.base import (
    AlreadyCreated,
    ConditionFailed,
    Extend,
    StaleRead,
    Table,
    TableMeta,
    Transaction,
    add_nothing,
    try_conditional,
)
from chalicelib.models.course_listings import CourseListing, keyword_row, keywords, listing_rows
from chalicelib.models.ledger import Event, LedgerEntry, record_deletion
from chalicelib.models.users import User
from chalicelib.observability.logs import event_log

DELETED, SWEPT = "deleted", "deleted-swept"


class WriterOutdated(ConditionFailed):
    """The account of who creates or publishes a course was erased or deactivated, or has another role now."""


class OwnerDeleted(ConditionFailed):
    """The owner of a course was erased. Nothing was written."""


class _ByLifecycle(GlobalSecondaryIndex["Course"]):
    class Meta:
        index_name = "by-lifecycle"
        projection = KeysOnlyProjection()

    lifecycle = UnicodeAttribute(hash_key=True)
    deleted_at = UnicodeAttribute(range_key=True)


class Course(Table):
    """A course. Every change of it, or of its number of lessons, increments the version."""

    class Meta(TableMeta):
        name = "courses"

    id = UnicodeAttribute(hash_key=True)
    title = UnicodeAttribute()
    description = UnicodeAttribute()
    price_cents = NumberAttribute()
    is_published = BooleanAttribute()
    owner_id = UnicodeAttribute()
    owner = UnicodeAttribute()  # the username
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()
    lessons_count = NumberAttribute(default=0)
    capacity = NumberAttribute(null=True)  # how many may be enrolled at the same time; None for any number
    waitlist = NumberAttribute(default=0)  # how many may wait for a place
    opens_at = UnicodeAttribute(null=True)  # when enrollment opens, and when it closes (RFC 3339)
    closes_at = UnicodeAttribute(null=True)
    lessons_for = UnicodeAttribute(default=LessonAudience.EVERYONE.value)
    never_published = BooleanAttribute(default=False)  # so that no student can be enrolled; false if not known
    has_place_counter = BooleanAttribute(default=False)  # stays true when a capacity is removed
    version = NumberAttribute(default=1)  # not PynamoDB's: that cannot be checked without being incremented
    stale_keywords = UnicodeSetAttribute(null=True)  # those that an edit removed, and whose rows are not deleted yet
    deleted_at = UnicodeAttribute(null=True)  # the tombstone: for readers, the course does not exist from then on
    lifecycle = UnicodeAttribute(null=True)  # DELETED on a tombstone, then SWEPT; the partition of the index
    by_lifecycle = _ByLifecycle()

    # Classification of all attributes; a test fails for a new attribute that is in none of these.
    ERASED_BY_DELETION = ("title", "description", "owner", "stale_keywords")  # content and personal data
    # Not in responses, and the first one not in the cache.
    INTERNAL_ATTRIBUTES = ("stale_keywords", "never_published", "has_place_counter")
    TOMBSTONE_ATTRIBUTES = ("deleted_at", "lifecycle")  # null on a course that exists

    @classmethod
    def find(cls, course_id: str) -> "Course | None":
        """Return the course unless it is deleted, by a consistent read."""
        course = cls.get_or_none(course_id)
        return None if course is None or course.deleted_at else course

    @classmethod
    def find_all(cls, course_ids: Sequence[str]) -> "dict[str, Course]":
        """Return those of these courses that exist and are not deleted, by ID; by consistent reads."""
        rows = cls.batch_get(list(dict.fromkeys(course_ids)), consistent_read=True)
        return {course.id: course for course in rows if not course.deleted_at}

    @classmethod
    def deleted_ids(cls, before: str, *, swept: bool = False) -> Iterator[str]:
        """Return the IDs of the courses deleted before a timestamp, not swept yet or swept; by the index."""
        return (row.id for row in cls.by_lifecycle.query(SWEPT if swept else DELETED, cls.deleted_at < before))

    @classmethod
    def mark_swept(cls, course_id: str, before: str) -> bool:
        """Record that the dependents of a course deleted before a timestamp were deleted, unless that is recorded."""
        is_unswept = (cls.lifecycle == DELETED) & (cls.deleted_at < before)
        return try_conditional(lambda: cls(course_id).update([cls.lifecycle.set(SWEPT)], condition=is_unswept))

    @classmethod
    def purge_tombstone(cls, course_id: str, before: str) -> bool:
        """Delete the row of a course deleted before a timestamp, and return whether there was one."""
        return try_conditional(lambda: cls(course_id).delete(cls.deleted_at < before))

    def create(self, writer: Caller, extend: Extend = add_nothing) -> None:
        """Save a new course of the writer with its listings; ``extend`` as for `replace`.

        Raises:
            AlreadyCreated: There is a course with its ID, or its tombstone.
            WriterOutdated: The writer was erased or deactivated, or has another role now.
        """
        self._save(None, writer, extend)

    def replace(self, old: "Course", writer: Caller, extend: Extend = add_nothing) -> None:
        """Save the new state of a course with its listings, which supersedes ``old``.

        ``extend`` adds items to the transaction, at most four.

        Raises:
            StaleRead: The course, or what an added item depends on, changed after it was read.
            OwnerDeleted: The owner was erased.
            WriterOutdated: The writer, who publishes it, was erased or deactivated, or has another role now.
        """
        old.finish_last_edit()
        self.stale_keywords = self._keywords_removed_from(old) or None
        self._save(old, writer, extend)
        try:
            self._delete_stale_keywords()
        except (RetryLater, StaleRead, TransactWriteError) as error:  # the next write of the course does it
            event_log.info("Rows of removed keywords are left", course=self.id, error=type(error).__name__)

    def soft_delete(self, deleted_at: str, extend: Extend = add_nothing) -> None:
        """Turn the course into a tombstone, and delete its listings.

        ``extend`` adds items to the transaction.

        Raises:
            StaleRead: The course changed after it was read.
        """
        self.finish_last_edit()
        transaction = Transaction()
        extend(transaction)
        for row in listing_rows(self):
            transaction.delete(row)
        record_deletion(transaction, Event.COURSE_CREATED, Event.COURSE_DELETED, self.id, self.created_at, deleted_at)
        if self.is_published:
            transaction.put(LedgerEntry.of(Event.COURSE_UNPUBLISHED, self.id, deleted_at))
            transaction.update(User(self.owner_id), [User.published_courses.add(-1)])
        actions: list[Action] = [
            Course.deleted_at.set(deleted_at),
            Course.lifecycle.set(DELETED),
            Course.version.add(1),
        ]
        actions += [getattr(Course, name).remove() for name in self.ERASED_BY_DELETION]
        transaction.update(self, actions, condition=Course.version == self.version)
        _run(transaction)

    def finish_last_edit(self) -> None:
        """Delete the rows of removed keywords that the process of an edit left.

        Raises:
            StaleRead: Another process did it since the course was read.
        """
        if self.stale_keywords:
            self._delete_stale_keywords()

    def repair_listings(self, missing: Sequence[CourseListing], extra: Sequence[CourseListing]) -> None:
        """Add and delete rows of the course: at most 99.

        Raises:
            StaleRead: The course changed after it was read.
        """
        transaction = Transaction()
        transaction.check(Course, self.id, Course.version == self.version)
        for row in missing:
            transaction.put(row)
        for row in extra:
            transaction.delete(row)
        _run(transaction)

    def add_to_lessons_count(self, transaction: Transaction, change: int) -> None:
        """Add a change of the number of lessons to a transaction, under the condition that the course is unchanged.

        Unchanged in its publication: the cached lists that show the count are invalidated by that.
        """
        unchanged = (Course.is_published == self.is_published) & Course.deleted_at.does_not_exist()
        actions = [Course.lessons_count.add(change), Course.version.add(1)]
        transaction.update(self, actions, condition=unchanged)

    def _save(self, old: "Course | None", writer: Caller, extend: Extend = add_nothing) -> None:
        """Save the course, its listings, and the effects of its publication: at most 81 items, and those of ``extend``.

        The rows of removed keywords do not fit into one transaction with the new ones. The course lists them, and they
        are deleted afterwards. Until then a search reads such a row, and the course does not match.
        """
        transaction = Transaction()
        extend(transaction)
        old_rows = {row.key: row for row in listing_rows(old)} if old else {}
        new_rows = {row.key: row for row in listing_rows(self)}
        for key, row in old_rows.items():
            if key not in new_rows and not (self.is_published and row.is_keyword):
                transaction.delete(row)
        transaction.put(self, Course.version == old.version if old else Course.id.does_not_exist(), label="course")
        for key, row in new_rows.items():
            if key not in old_rows:
                transaction.put(row)
        self._add_publication(transaction, old, writer)
        try:
            transaction.run()
        except ConditionFailed as error:
            if "writer" in error.failed:
                raise WriterOutdated(error.failed) from error
            if old is None and "course" in error.failed:
                raise AlreadyCreated(error.failed) from error
            raise (OwnerDeleted if "owner" in error.failed else StaleRead)(error.failed) from error

    def _add_publication(self, transaction: Transaction, old: "Course | None", writer: Caller) -> None:
        """Add the effects of a publication, and the condition that the account of who creates or publishes is current.

        DynamoDB accepts one operation per item in a transaction: the condition is part of the owner's update if the
        owner publishes.
        """
        change = int(self.is_published) - int(old.is_published if old else False)
        if change:
            event = Event.COURSE_PUBLISHED if change > 0 else Event.COURSE_UNPUBLISHED
            transaction.put(LedgerEntry.of(event, self.id, self.updated_at))
            actions = [User.published_courses.add(change)]
            is_own = change > 0 and writer.id == self.owner_id
            condition = User.is_current(writer.role) if is_own else User.exists_condition()
            transaction.update(User(self.owner_id), actions, condition, label="writer" if is_own else "owner")
        if (old is None and not change) or (change > 0 and writer.id != self.owner_id):
            transaction.check(User, writer.id, User.is_current(writer.role), label="writer")

    def _keywords_removed_from(self, old: "Course") -> set[str]:
        """Return the keywords that only the previous state has, if both states have rows of keywords."""
        if not (old.is_published and self.is_published):
            return set()
        return {*keywords(old.title, old.description)} - {*keywords(self.title, self.description)}

    def _delete_stale_keywords(self) -> None:
        """Delete the rows of removed keywords.

        Raises:
            StaleRead: Another process deleted them, or there are others.
        """
        if not self.stale_keywords:
            return
        transaction = Transaction()
        for word in self.stale_keywords:
            transaction.delete(keyword_row(self, word))
        same = Course.stale_keywords == self.stale_keywords
        transaction.update(self, [Course.stale_keywords.remove()], condition=same)
        _run(transaction)
        self.stale_keywords = None


def _run(transaction: Transaction) -> None:
    try:
        transaction.run()
    except ConditionFailed as error:
        raise StaleRead(error.failed) from error
