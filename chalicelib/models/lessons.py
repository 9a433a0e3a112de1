"""Lessons, by course; and by their order in it."""

from pynamodb.attributes import NumberAttribute, UnicodeAttribute, VersionAttribute
from pynamodb.indexes import KeysOnlyProjection, LocalSecondaryIndex

from chalicelib import ids
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
    version = VersionAttribute()
    by_order = _ByOrder()

    @property
    def id(self) -> str:
        """What the API calls it."""
        return ids.lesson(self.course, self.nonce)

    @staticmethod
    def position_of(order_index: int, created_at: str, nonce: str) -> str:
        """The place of a lesson in its course, as text that sorts."""
        return f"{order_index:010d}#{created_at}#{nonce}"
