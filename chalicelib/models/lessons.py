"""Lessons, by course; and by their order in it."""

from collections.abc import Sequence

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.indexes import KeysOnlyProjection, LocalSecondaryIndex

from chalicelib.core import ids
from chalicelib.models.base import Table, table_name


class _ByOrder(LocalSecondaryIndex["Lesson"]):
    class Meta:
        index_name = "by-order"
        projection = KeysOnlyProjection()

    course = UnicodeAttribute(hash_key=True)
    position = UnicodeAttribute(range_key=True)


class Lesson(Table):
    """A lesson of a course."""

    class Meta:
        table_name = table_name("lessons")

    course = UnicodeAttribute(hash_key=True)
    nonce = UnicodeAttribute(range_key=True)
    title = UnicodeAttribute()
    content = UnicodeAttribute()
    duration_min = NumberAttribute()
    order_index = NumberAttribute()
    created_at = UnicodeAttribute()
    position = UnicodeAttribute()
    """Its place in the course: by `order_index`, then by age."""
    version = NumberAttribute(default=1)
    by_order = _ByOrder()

    @property
    def id(self) -> str:
        """What the API calls it."""
        return ids.lesson(self.course, self.nonce)

    def place(self) -> None:
        """Set its position by its order, age and id."""
        self.position = f"{int(self.order_index):010d}#{self.created_at}#{self.nonce}"

    @classmethod
    def find(cls, lesson_id: str) -> "Lesson | None":
        """The lesson of this id, read consistently."""
        keys = ids.split_lesson(lesson_id)
        return None if keys is None else cls.row(*keys)

    @classmethod
    def keys_of(cls, course: str, *, after: str | None, back: bool, limit: int) -> "list[tuple[str, str]]":
        """Up to ``limit`` (position, nonce) of a course's lessons behind a position; consistent."""
        condition = None
        if after is not None:
            condition = cls.position < after if back else cls.position > after
        rows = cls.by_order.query(
            course, condition, scan_index_forward=not back, limit=limit, page_size=limit, consistent_read=True
        )
        return [(str(row.position), str(row.nonce)) for row in rows]

    @classmethod
    def find_all(cls, keys: Sequence[tuple[str, str]]) -> "dict[tuple[str, str], Lesson]":
        """Those of these (course, nonce) that exist, read consistently."""
        return {(lesson.course, lesson.nonce): lesson for lesson in cls.batch_get(list(keys), consistent_read=True)}
