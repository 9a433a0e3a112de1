"""The ledger: what a day's report could not read from the tables later, written as it happens.

A thing that is deleted leaves two entries: one on the day it was made, for that day's count of new
ones, and one on the day it ended, for the totals. So a report is the same whenever it is made.
"""

import zlib

from pynamodb.attributes import UnicodeAttribute

from chalicelib.models.base import Table, table_name

SHARDS = 8
PUBLISHED = "published"
UNPUBLISHED = "unpublished"
COURSE = "course"
ENROLLMENT = "enrollment"
USER = "user"


class LedgerEntry(Table):
    """One thing that happened to one thing on one day."""

    class Meta:
        table_name = table_name("ledger")

    day = UnicodeAttribute(hash_key=True)
    """The day, and a shard by the thing: one partition takes 500 deletions a second, and a day is one place."""
    entry = UnicodeAttribute(range_key=True)

    @classmethod
    def at(cls, moment: str, event: str, thing: str) -> "LedgerEntry":
        """The entry of an event at a moment (RFC 3339)."""
        shard = zlib.crc32(thing.encode()) % SHARDS
        return cls(f"{moment[:10]}#{shard}", f"{event}#{moment}#{thing}")

    @classmethod
    def of_deleted(cls, kind: str, thing: str, created_at: str, deleted_at: str) -> "list[LedgerEntry]":
        """The two entries of a deletion."""
        return [cls.at(created_at, f"{kind}-made", thing), cls.at(deleted_at, f"{kind}-ended", thing)]

    @classmethod
    def things(cls, event: str, day: str) -> set[str]:
        """The things that an event happened to on a day."""
        of_event = cls.entry.startswith(f"{event}#")
        entries = (row for shard in _shards(day) for row in cls.query(shard, of_event, consistent_read=True))
        return {str(row.entry).rpartition("#")[2] for row in entries}

    @classmethod
    def count_of(cls, event: str, day: str) -> int:
        """How many entries of an event a day has."""
        of_event = cls.entry.startswith(f"{event}#")
        return sum(cls.count(shard, of_event, consistent_read=True) for shard in _shards(day))


def _shards(day: str) -> list[str]:
    return [f"{day}#{shard}" for shard in range(SHARDS)]
