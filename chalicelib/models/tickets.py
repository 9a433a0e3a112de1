"""Tickets: one-time secrets in links of emails. The table has their hashes only."""

import hashlib
import hmac
import time
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.models.base import Table, TableMeta, Transaction, get_together
from chalicelib.models.users import User


class TicketKind(StrEnum):
    """What a ticket permits."""

    RESET = "reset"  # to set a new password
    VERIFY = "verify"  # to confirm that an email address is the user's


LIFETIMES = {TicketKind.RESET: timedelta(minutes=30), TicketKind.VERIFY: timedelta(days=7)}


class Ticket(Table):
    """The current ticket of one kind of a user. A newer one replaces it."""

    class Meta(TableMeta):
        name = "tickets"

    id = UnicodeAttribute(hash_key=True)  # <kind>#<user ID>
    hash = UnicodeAttribute()  # SHA-256 of the secret: with 130 random bits, it needs neither salt nor a slow hash
    email = UnicodeAttribute()  # the address that it was sent to
    auth_version = NumberAttribute()  # of the user at that time: a new password or role makes a reset void
    expires_at = NumberAttribute()  # Unix seconds; the table's TTL

    @classmethod
    def replace(cls, kind: TicketKind, user: User, secret: str, expires_at: int) -> None:
        """Save a new ticket of a user. An older one of this kind is void from then on."""
        cls(
            cls._key(kind, user.id),
            hash=_hash(secret),
            email=user.email,
            auth_version=user.auth_version,
            expires_at=expires_at,
        ).save()

    @classmethod
    def find_with_user(cls, kind: TicketKind, user_id: str) -> "tuple[Ticket | None, User | None]":
        """Return the ticket, and the user unless erased, by one call with consistent reads."""
        ticket, user = get_together((cls, (cls._key(kind, user_id),)), (User, (user_id,)))
        return ticket, None if user is None or user.deleted_at else user

    @classmethod
    def all_of_user(cls, user_id: str) -> Iterator["Ticket"]:
        """Return the tickets of a user, by one consistent read."""
        return cls.batch_get([cls._key(kind, user_id) for kind in TicketKind], consistent_read=True)

    @classmethod
    def delete_all_of_user(cls, user_id: str) -> Iterator[int]:
        """Delete the tickets of an erased user, and yield the number of rows at each step."""
        for ticket in cls.all_of_user(user_id):
            ticket.delete()
            yield 1

    @property
    def kind(self) -> str:
        """The kind of the ticket."""
        return str(self.id).partition("#")[0]

    def permits(self, secret: str, user: User, now: float) -> bool:
        """Return whether the secret is this ticket's, and the user is as they were when it was sent."""
        return (
            hmac.compare_digest(str(self.hash), _hash(secret))
            and self.expires_at > now
            and self.email == user.email
            and (self.kind == TicketKind.VERIFY or self.auth_version == user.auth_version)
        )

    def add_use(self, transaction: Transaction) -> None:
        """Delete the ticket in a transaction, unless it was used or replaced or has expired."""
        transaction.delete(self, (Ticket.hash == self.hash) & (Ticket.expires_at > int(time.time())))

    @staticmethod
    def _key(kind: TicketKind, user_id: str) -> str:
        return f"{kind}#{user_id}"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
