"""The ledger: what a day's report could not read from the tables later, written as it happens."""

from pynamodb.attributes import UnicodeAttribute

from chalicelib.models.base import Table, table_name

PUBLISHED = "published"


class LedgerEntry(Table):
    """One thing that happened to one course on one day."""

    class Meta:
        table_name = table_name("ledger")

    day = UnicodeAttribute(hash_key=True)
    entry = UnicodeAttribute(range_key=True)

    @classmethod
    def published(cls, course_id: str, moment: str) -> "LedgerEntry":
        """The entry of a course's publication at a moment (RFC 3339)."""
        return cls(moment[:10], f"{PUBLISHED}#{moment}#{course_id}")

    @classmethod
    def count_of(cls, kind: str, day: str) -> int:
        """How many entries of a kind a day has."""
        return cls.count(day, cls.entry.startswith(f"{kind}#"), consistent_read=True)
