"""Pending emails about accounts. Each is saved in the transaction of the change that it is about, until it is sent."""

from collections.abc import Iterator

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection

from chalicelib.core import clock, ids
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.retry_policy import FAILED_EMAIL_RETENTION
from chalicelib.models.base import Table, TableMeta, Transaction, get_together, try_conditional
from chalicelib.models.pending_emails import read_in_batches
from chalicelib.models.shards import all_shards, shard_of
from chalicelib.models.users import User


class _ByEmailPending(GlobalSecondaryIndex["AccountEmail"]):
    class Meta:
        index_name = "by-email-pending"
        projection = KeysOnlyProjection()

    email_pending = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class _ByEmailFailed(GlobalSecondaryIndex["AccountEmail"]):
    class Meta:
        index_name = "by-email-failed"
        projection = IncludeProjection(["kind", "email_error"])

    email_failed = UnicodeAttribute(hash_key=True)
    email_failed_at = UnicodeAttribute(range_key=True)


class AccountEmail(Table):
    """An email about an account that is not sent yet, or was given up."""

    class Meta(TableMeta):
        name = "account-emails"

    user_id = UnicodeAttribute(hash_key=True)
    email_id = UnicodeAttribute(range_key=True)  # random, or the date of a report
    kind = UnicodeAttribute()
    request_id = UnicodeAttribute()  # of the request that caused it; the email worker logs under this ID
    sort_key = UnicodeAttribute()  # when it was requested (RFC 3339), and the keys
    address = UnicodeAttribute(null=True)  # the recipient, unless that is the user's current address
    email_pending = UnicodeAttribute(null=True)  # the shard, until the email is given up
    email_failed = UnicodeAttribute(null=True)  # the shard, once it is; the partition of the index
    email_failed_at = UnicodeAttribute(null=True)  # RFC 3339
    email_error = UnicodeAttribute(null=True)  # the error code of SES
    expires_at = NumberAttribute(null=True)  # Unix seconds; the table's TTL, of an email that was given up
    by_email_pending = _ByEmailPending()
    by_email_failed = _ByEmailFailed()

    @property
    def id(self) -> str:
        """The email's ID in messages: the user's ID and its own."""
        return f"{self.user_id}{self.email_id}"

    @property
    def email_kind(self) -> str:
        """What the email is about, as `EmailKind` names it, unless another version of this code saved it."""
        return str(self.kind)

    @property
    def recipient_id(self) -> str:
        """The user who gets the email."""
        return str(self.user_id)

    @property
    def requested_at(self) -> str:
        """When the email was requested (RFC 3339)."""
        return str(self.sort_key).partition("#")[0]

    @classmethod
    def new(
        cls,
        user_id: str,
        kind: EmailKind,
        requested_at: str,
        request_id: str,
        *,
        email_id: str = "",
        address: str | None = None,
    ) -> "AccountEmail":
        """Return a pending email, not yet saved; without an ``email_id``, with a random one."""
        email_id = email_id or ids.new_id()
        return cls(
            user_id,
            email_id,
            kind=kind.value,
            request_id=request_id,
            sort_key=f"{requested_at}#{user_id}{email_id}",
            address=address,
            email_pending=shard_of(user_id),
        )

    @classmethod
    def with_id(cls, email_id: str) -> "AccountEmail | None":
        """Return the row of an ID in a message with its keys alone, or None for a malformed ID: no key is empty."""
        user_id, own_id = split_id(email_id)
        return cls(user_id, own_id) if own_id else None

    @classmethod
    def find_with_user(cls, email_id: str) -> "tuple[AccountEmail | None, User | None]":
        """Return the email of an ID in a message, and its user unless erased, by one call with consistent reads.

        Return neither for a malformed ID.
        """
        row = cls.with_id(email_id)
        if row is None:
            return None, None
        email, user = get_together((cls, (row.user_id, row.email_id)), (User, (row.user_id,)))
        return email, None if user is None or user.deleted_at else user

    @classmethod
    def all_of_user(cls, user_id: str, after: str = "") -> Iterator["AccountEmail"]:
        """Return the emails of a user after an ``email_id``, by consistent reads."""
        return cls.query(user_id, cls.email_id > after if after else None, consistent_read=True)

    @classmethod
    def delete_all_of_user(cls, user_id: str) -> Iterator[int]:
        """Delete the emails of an erased user, and yield the number of rows at each step."""
        with cls.batch_write() as batch:
            for row in cls.query(user_id, consistent_read=True, attributes_to_get=["user_id", "email_id"]):
                batch.delete(row)
                yield 1

    @classmethod
    def pending_emails(cls, shard: str, after: str, before: str) -> Iterator[tuple[str, list["AccountEmail"]]]:
        """Return the pending emails of a shard, as `Enrollment.pending_emails` does."""
        if after >= before:
            return iter(())
        keys = cls.by_email_pending.query(shard, cls.sort_key.between(after + "\0", before))
        return read_in_batches(
            keys,
            lambda batch: cls.batch_get([(row.user_id, row.email_id) for row in batch], consistent_read=True),
        )

    @classmethod
    def failed_emails(cls) -> Iterator["AccountEmail"]:
        """Return the emails that were given up, with the attributes of the index."""
        for shard in all_shards():
            yield from cls.by_email_failed.query(shard)

    def add_to(self, transaction: Transaction) -> None:
        """Save the email in a transaction, unless it was saved before; the condition has its class as label."""
        transaction.put(self, AccountEmail.user_id.does_not_exist(), label=AccountEmail)

    def mark_email_sent(self) -> None:
        """Delete the row of an email that was sent, or that has become pointless."""
        self.delete()

    def mark_email_failed(self, at: str, error: str) -> None:
        """Record that the email is given up, unless it is not pending any more."""
        expires_at = int((clock.parse_timestamp(at) + FAILED_EMAIL_RETENTION).timestamp())
        actions: list[Action] = [
            AccountEmail.email_pending.remove(),
            AccountEmail.email_failed.set(shard_of(self.user_id)),
            AccountEmail.email_failed_at.set(at),
            AccountEmail.email_error.set(error),
            AccountEmail.expires_at.set(expires_at),
        ]
        try_conditional(lambda: self.update(actions, condition=AccountEmail.email_pending.exists()))


def split_id(email_id: str) -> tuple[str, str]:
    """Return the user's ID and the email's own from an ID in a message."""
    return email_id[: ids.ID_LENGTH], email_id[ids.ID_LENGTH :]
