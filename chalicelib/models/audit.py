"""The audit log: append-only. The functions may put and query entries, and neither update nor delete them.

An entry has IDs only, so that the erasure of an account changes none.
"""

import heapq
import zlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from itertools import islice, takewhile
from typing import Any

from pynamodb.attributes import JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from chalicelib.core import clock, ids
from chalicelib.core.audit import Action, Actor
from chalicelib.core.config import settings
from chalicelib.models.base import Table, TableMeta, Transaction, access_together

_SHARDS = ("0", "1", "2", "3")  # a partition takes 1,000 write units a second; with fewer, entries are unreachable


class _ByActor(GlobalSecondaryIndex["AuditEntry"]):
    class Meta:
        index_name = "by-actor"
        projection = AllProjection()

    actor = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class _BySubject(GlobalSecondaryIndex["AuditEntry"]):
    class Meta:
        index_name = "by-subject"
        projection = AllProjection()

    root = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class AuditEntry(Table):
    """One act."""

    class Meta(TableMeta):
        name = "audit"

    shard = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)  # when it was done (RFC 3339), and the entry's ID
    actor = UnicodeAttribute()  # the ID of a user, or "operator"
    actor_role = UnicodeAttribute(null=True)
    via = UnicodeAttribute()
    action = UnicodeAttribute()
    subject_kind = UnicodeAttribute()
    subject = UnicodeAttribute()
    root = UnicodeAttribute()  # the user or course that the subject is, or is a dependent of
    changes = JSONAttribute()
    request_id = UnicodeAttribute()  # of the request or command; all its log lines have it
    expires_at = NumberAttribute()  # Unix seconds; the table's TTL
    by_actor = _ByActor()
    by_subject = _BySubject()

    @property
    def at(self) -> str:
        """When the act was done (RFC 3339)."""
        return str(self.sort_key).partition("#")[0]

    @property
    def id(self) -> str:
        """The entry's ID."""
        return str(self.sort_key).partition("#")[2]

    @classmethod
    def new(
        cls, actor: Actor, action: Action, subject: str, changes: Mapping[str, Any], request_id: str
    ) -> "AuditEntry":
        """Return the entry of an act that is done now, not yet saved."""
        entry_id, now = ids.new_id(), clock.now()
        return cls(
            _SHARDS[zlib.crc32(entry_id.encode()) % len(_SHARDS)],
            f"{clock.format_timestamp(now)}#{entry_id}",
            actor=actor.id,
            actor_role=actor.role and actor.role.value,
            via=actor.via.value,
            action=action.value,
            subject_kind=action.subject_kind,
            subject=subject,
            root=root_of(subject),
            changes=dict(changes),
            request_id=request_id,
            expires_at=int((now + timedelta(days=settings().audit_days)).timestamp()),
        )

    @classmethod
    def page(
        cls, *, actor: str | None, root: str | None, first: str, end: str, after: str | None, backward: bool, limit: int
    ) -> "list[AuditEntry]":
        """Return up to ``limit`` entries from ``first`` to before ``end``, newest first, after a sort key.

        ``first`` and ``end`` are dates or sort keys. Those of a subject or an actor are read by an index, eventually
        consistent; all others by consistent reads.
        """
        condition = cls.sort_key > after if backward else cls.sort_key < (after or end)
        options: dict[str, Any] = {"scan_index_forward": backward, "limit": limit, "page_size": limit}

        def rows_of(shard: str) -> list[AuditEntry]:
            return [*cls.query(shard, condition, consistent_read=True, **options)]

        rows: Iterable[AuditEntry]
        if root is not None:
            rows = cls.by_subject.query(root, condition, **options)
        elif actor is not None:
            rows = cls.by_actor.query(actor, condition, **options)
        else:
            shards = access_together([cls], [partial(rows_of, shard) for shard in _SHARDS])
            rows = islice(heapq.merge(*shards, key=lambda row: str(row.sort_key), reverse=not backward), limit)
        return [*takewhile(lambda row: first <= row.sort_key < end, rows)]

    def add_to(self, transaction: Transaction) -> None:
        """Save the entry in the transaction of its act.

        The condition forbids that it overwrites another one, which IAM cannot.
        """
        transaction.put(self, AuditEntry.shard.does_not_exist())


def root_of(subject: str) -> str:
    """Return the user or course that a subject is, or is a dependent of: the ID of a dependent starts with it."""
    return subject[: ids.ID_LENGTH]
