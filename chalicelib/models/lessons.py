"""Lessons: the table and its transactional writes, which keep the number of lessons of their course exact."""

from collections.abc import Iterator, Sequence

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.indexes import KeysOnlyProjection, LocalSecondaryIndex

from chalicelib.core import ids
from chalicelib.models.base import (
    AlreadyCreated,
    ConditionFailed,
    Extend,
    StaleRead,
    Table,
    TableMeta,
    Transaction,
    add_nothing,
)
from chalicelib.models.courses import Course


class _ByOrder(LocalSecondaryIndex["Lesson"]):
    class Meta:
        index_name = "by-order"
        projection = KeysOnlyProjection()

    course = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class Lesson(Table):
    """A lesson of a course."""

    class Meta(TableMeta):
        name = "lessons"

    course = UnicodeAttribute(hash_key=True)
    suffix = UnicodeAttribute(range_key=True)
    title = UnicodeAttribute()
    content = UnicodeAttribute()
    duration_min = NumberAttribute()
    order_index = NumberAttribute()
    created_at = UnicodeAttribute()
    sort_key = UnicodeAttribute()  # by order_index, then by creation
    version = NumberAttribute(default=1)
    by_order = _ByOrder()

    @property
    def id(self) -> str:
        """The lesson's ID in the API."""
        return ids.lesson_id(self.course, self.suffix)

    @classmethod
    def find(cls, lesson_id: str) -> "Lesson | None":
        """Return the lesson, by a consistent read."""
        keys = ids.parse_lesson_id(lesson_id)
        return None if keys is None else cls.get_or_none(*keys)

    @classmethod
    def find_all(cls, keys: Sequence[tuple[str, str]]) -> "dict[tuple[str, str], Lesson]":
        """Return those of these (course, suffix) that exist, by consistent reads."""
        return {(lesson.course, lesson.suffix): lesson for lesson in cls.batch_get(list(keys), consistent_read=True)}

    @classmethod
    def page_keys(cls, course: str, *, after: str | None, backward: bool, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` (sort key, suffix) of a course's lessons after a sort key, by a consistent read."""
        condition = None
        if after is not None:
            condition = cls.sort_key < after if backward else cls.sort_key > after
        rows = cls.by_order.query(
            course, condition, scan_index_forward=not backward, limit=limit, page_size=limit, consistent_read=True
        )
        return [(str(row.sort_key), str(row.suffix)) for row in rows]

    @classmethod
    def all_of_course(cls, course: str, after: str = "") -> Iterator["Lesson"]:
        """Return the lessons of a course after a suffix, by consistent reads."""
        return cls.query(course, cls.suffix > after if after else None, consistent_read=True)

    @classmethod
    def delete_all_of_course(cls, course: str) -> Iterator[int]:
        """Delete the lessons of a deleted course, and yield the number of rows at each step."""
        with cls.batch_write() as batch:
            for lesson in cls.all_of_course(course):
                batch.delete(lesson)
                yield 1

    def create(self, course: Course, extend: Extend = add_nothing) -> None:
        """Save a new lesson and increment its course's count, in one transaction with the items that ``extend`` adds.

        Raises:
            AlreadyCreated: There is a lesson with its ID.
            StaleRead: The course changed after it was read.
        """
        self._set_sort_key()
        transaction = Transaction()
        extend(transaction)
        transaction.put(self, Lesson.course.does_not_exist(), label="lesson")
        course.add_to_lessons_count(transaction, 1)
        _run(transaction)

    def replace(self, old: "Lesson", extend: Extend = add_nothing) -> None:
        """Save the new state of a lesson, which supersedes ``old``; ``extend`` as for `create`.

        Raises:
            StaleRead: The lesson changed after ``old`` was read, or its course was deleted.
        """
        self._set_sort_key()
        transaction = Transaction()
        extend(transaction)
        transaction.check(Course, old.course, Course.deleted_at.does_not_exist())
        transaction.put(self, Lesson.version == old.version)
        _run(transaction)

    def delete_from(self, course: Course, extend: Extend = add_nothing) -> None:
        """Delete the lesson and decrement its course's count; ``extend`` as for `create`.

        Raises:
            StaleRead: The lesson or course changed after it was read.
        """
        transaction = Transaction()
        extend(transaction)
        transaction.delete(self, Lesson.version == self.version)
        course.add_to_lessons_count(transaction, -1)
        _run(transaction)

    def _set_sort_key(self) -> None:
        self.sort_key = f"{int(self.order_index):010d}#{self.created_at}#{self.suffix}"


def _run(transaction: Transaction) -> None:
    try:
        transaction.run()
    except ConditionFailed as error:
        raise (AlreadyCreated if "lesson" in error.failed else StaleRead)(error.failed) from error
