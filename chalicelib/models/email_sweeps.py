"""How far the requeueing of pending emails is, in the table of enrollments."""

from pynamodb.attributes import UnicodeAttribute

from chalicelib.models.base import Table, TableMeta


class EmailSweep(Table):
    """The requeueing of the pending emails of one shard: how far it is. One row, under a key that no student has."""

    class Meta(TableMeta):
        name = "enrollments"

    student = UnicodeAttribute(hash_key=True, default="#email-sweep")
    course = UnicodeAttribute(range_key=True)  # the class of the rows, and the shard
    started_at = UnicodeAttribute(default="")  # RFC 3339
    position = UnicodeAttribute(default="")  # the sort key up to which emails were requeued since

    @classmethod
    def of(cls, table: type[Table], shard: str) -> "EmailSweep":
        """Return the sweep of a table's shard, by a consistent read."""
        key = cls(course=f"{table.__name__}#{shard}")
        return cls.get_or_none(key.student, key.course) or key
