"""Idempotency records of HTTP requests. The table also has those of emails, which Powertools writes."""

import hashlib
import json
import secrets
import time
from collections.abc import Sequence

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from chalicelib.core.retry_policy import IDEMPOTENCY_KEY_TTL, REQUEST_LEASE_SECONDS
from chalicelib.models.base import Table, TableMeta, try_conditional, update_or_get


class IdempotencyRecord(Table):
    """The record of one key: who creates the entity, and with which ID. It has hashes and random values only.

    The conditions of both writes that acquire the lease also hold for the attempt that has it: a call that is repeated
    because its response was lost succeeds again.
    """

    class Meta(TableMeta):
        name = "idempotency"

    id = UnicodeAttribute(hash_key=True)  # http# and a hash of caller, method, route and key
    fingerprint = UnicodeAttribute()  # SHA-256 of the request's body
    seed = UnicodeAttribute()  # the random part of the entity's ID
    attempt = UnicodeAttribute()  # a random name of the request that has the lease
    until = NumberAttribute()  # the end of the lease, Unix seconds
    is_done = BooleanAttribute()  # whether the entity was created
    expiration = NumberAttribute()  # Unix seconds; the table's TTL

    @classmethod
    def new(cls, scope: Sequence[str], body: str, seed: str) -> "IdempotencyRecord":
        """Return the record of a key, whose meaning is limited to its scope; not yet saved."""
        return cls(f"http#{_hash(json.dumps(scope))}", fingerprint=_hash(body), seed=seed, attempt=_new_attempt())

    def insert(self) -> "IdempotencyRecord | None":
        """Save the record and acquire the lease, unless there is a record of this key; then return that one."""
        now = int(time.time())
        is_own = (IdempotencyRecord.attempt == self.attempt) & (IdempotencyRecord.is_done == False)  # noqa: E712
        is_free = IdempotencyRecord.id.does_not_exist() | (IdempotencyRecord.expiration <= now)
        actions = [
            IdempotencyRecord.fingerprint.set(self.fingerprint),
            IdempotencyRecord.seed.set(self.seed),
            *_lease(self.attempt, now),
        ]
        return update_or_get(self, actions, is_free | is_own)

    def take_over(self) -> bool:
        """Acquire the lease of an attempt that ended without a result, and return whether that succeeded."""
        now, attempt = int(time.time()), _new_attempt()
        if self.until > now:
            return False
        is_pending = IdempotencyRecord.is_done == False  # noqa: E712  of PynamoDB
        is_expired = (IdempotencyRecord.attempt == self.attempt) & (IdempotencyRecord.until <= now)
        is_own = IdempotencyRecord.attempt == attempt
        return try_conditional(
            lambda: self.update(_lease(attempt, now), condition=is_pending & (is_expired | is_own)),
        )

    def complete(self) -> None:
        """Record that the entity was created, unless another attempt has taken over."""
        self._settle(IdempotencyRecord.is_done.set(True))

    def release(self) -> None:
        """End the lease: the next attempt takes over the record with its seed."""
        self._settle(IdempotencyRecord.until.set(0))

    def forget(self) -> None:
        """Delete the record, unless another attempt has taken over."""
        try_conditional(lambda: self.delete(condition=IdempotencyRecord.attempt == self.attempt))

    def _settle(self, action: Action) -> None:
        try_conditional(lambda: self.update([action], condition=IdempotencyRecord.attempt == self.attempt))


def _lease(attempt: str, now: int) -> list[Action]:
    return [
        IdempotencyRecord.attempt.set(attempt),
        IdempotencyRecord.until.set(now + REQUEST_LEASE_SECONDS),
        IdempotencyRecord.is_done.set(False),
        IdempotencyRecord.expiration.set(now + int(IDEMPOTENCY_KEY_TTL.total_seconds())),
    ]


def _new_attempt() -> str:
    return secrets.token_hex(8)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
