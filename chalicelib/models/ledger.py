"""The ledger: events that a daily report cannot read from the tables later.

A deleted entity leaves two entries: one on the day of its creation, for the number of new ones on that day, and one on
the day of its deletion, for the totals. So a report is the same whenever it is generated.
"""

import heapq
import zlib
from collections.abc import Iterator
from enum import StrEnum

from pynamodb.attributes import UnicodeAttribute

from chalicelib.models.base import Table, TableMeta, Transaction

SHARDS = 8


class Event(StrEnum):
    """What happened to an entity."""

    COURSE_CREATED = "course-created"
    COURSE_DELETED = "course-deleted"
    COURSE_PUBLISHED = "course-published"
    COURSE_UNPUBLISHED = "course-unpublished"
    ENROLLMENT_CREATED = "enrollment-created"
    ENROLLMENT_DELETED = "enrollment-deleted"
    USER_CREATED = "user-created"
    USER_DELETED = "user-deleted"


class LedgerEntry(Table):
    """One event of one entity on one day."""

    class Meta(TableMeta):
        name = "ledger"

    day = UnicodeAttribute(hash_key=True)  # the day and a shard: a partition takes 500 deletions a second
    entry = UnicodeAttribute(range_key=True)  # event, timestamp, entity ID

    @classmethod
    def of(cls, event: Event, entity_id: str, timestamp: str) -> "LedgerEntry":
        """Return the entry of an event, not yet saved."""
        shard = zlib.crc32(entity_id.encode()) % SHARDS
        return cls(f"{timestamp[:10]}#{shard}", f"{event}#{timestamp}#{entity_id}")

    @classmethod
    def entities_between(cls, event: Event, first: str, last: str) -> Iterator[tuple[str, str]]:
        """Return time and entity ID of an event from ``first`` to ``last`` (RFC 3339, of one day), oldest first.

        By consistent reads.
        """
        recorded = cls.entry.between(f"{event}#{first}", f"{event}#{last}#~")
        shards = (cls.query(shard, recorded, consistent_read=True) for shard in _shards(last[:10]))
        entries = heapq.merge(*((str(row.entry) for row in rows) for rows in shards))
        return ((timestamp, entity_id) for _, timestamp, entity_id in (entry.split("#", 2) for entry in entries))

    @classmethod
    def count_of(cls, event: Event, day: str) -> int:
        """Return the number of entries of an event on a day, by a consistent read."""
        of_event = cls.entry.startswith(f"{event}#")
        return sum(cls.count(shard, of_event, consistent_read=True) for shard in _shards(day))


def record_deletion(
    transaction: Transaction, created: Event, deleted: Event, entity_id: str, created_at: str, deleted_at: str
) -> None:
    """Add the two entries of a deletion to its transaction."""
    transaction.put(LedgerEntry.of(created, entity_id, created_at))
    transaction.put(LedgerEntry.of(deleted, entity_id, deleted_at))


def _shards(day: str) -> list[str]:
    return [f"{day}#{shard}" for shard in range(SHARDS)]
