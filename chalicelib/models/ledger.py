"""The ledger: events that a daily report cannot read from the tables later.

A deleted entity leaves two entries: one on the day of its creation, for the number of new ones on that day, and one on
the day of its deletion, for the totals. So a report is the same whenever it is generated, as long as the entries exist.
The reports keep the numbers; who was in which course is personal data, and is deleted once the reports are final.
"""

import heapq
import zlib
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.core import clock
from chalicelib.models.base import Table, TableMeta, Transaction

SHARDS = 8
# Longer than reports change (services.reports), and than a table can be restored to its state before an erasure.
RETENTION = timedelta(days=40)


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
    expires_at = NumberAttribute(null=True)  # Unix seconds; the table's TTL

    @classmethod
    def of(cls, event: Event, entity_id: str, timestamp: str, recorded_at: str | None = None) -> "LedgerEntry":
        """Return the entry of an event, not yet saved; by default recorded at the time of the event."""
        shard = zlib.crc32(entity_id.encode()) % SHARDS
        expiry = clock.parse_timestamp(recorded_at or timestamp) + RETENTION
        return cls(f"{timestamp[:10]}#{shard}", f"{event}#{timestamp}#{entity_id}", expires_at=int(expiry.timestamp()))

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
    transaction.put(LedgerEntry.of(created, entity_id, created_at, recorded_at=deleted_at))
    transaction.put(LedgerEntry.of(deleted, entity_id, deleted_at))


def _shards(day: str) -> list[str]:
    return [f"{day}#{shard}" for shard in range(SHARDS)]
