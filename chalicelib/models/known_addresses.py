"""Known addresses: the networks from which a user logged in, in the table of their sessions."""

from collections.abc import Iterator

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.models.base import Table, TableMeta

PREFIX = "~address#"  # after all IDs of sessions, which are hexadecimal


class KnownAddress(Table):
    """A network from which a user logged in."""

    class Meta(TableMeta):
        name = "sessions"

    user_id = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)
    expires_at = NumberAttribute()  # Unix seconds; the table's TTL

    @property
    def network(self) -> str:
        """The network: an IPv4 address, or the /64 of an IPv6 address."""
        return str(self.id).removeprefix(PREFIX)

    @classmethod
    def find(cls, user_id: str, network: str) -> "KnownAddress | None":
        """Return the row of a user's network, by a consistent read. It may have expired."""
        return cls.get_or_none(user_id, PREFIX + network)

    @classmethod
    def all_of_user(cls, user_id: str) -> Iterator["KnownAddress"]:
        """Return the networks of a user, by consistent reads."""
        return cls.query(user_id, cls.id.startswith(PREFIX), consistent_read=True)

    @classmethod
    def remember(cls, user_id: str, network: str, expires_at: int) -> None:
        """Store that a user logged in from a network, until a time in Unix seconds."""
        cls(user_id, PREFIX + network, expires_at=expires_at).save()
