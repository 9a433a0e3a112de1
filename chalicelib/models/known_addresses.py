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
    def key(cls, user_id: str, network: str) -> tuple[str, str]:
        """Return the key of a user's network."""
        return user_id, PREFIX + network

    @classmethod
    def of(cls, user_id: str, network: str, expires_at: int) -> "KnownAddress":
        """Return the row of a user's network until a time in Unix seconds, not yet saved."""
        return cls(*cls.key(user_id, network), expires_at=expires_at)

    @classmethod
    def all_of_user(cls, user_id: str) -> Iterator["KnownAddress"]:
        """Return the networks of a user, by consistent reads."""
        return cls.query(user_id, cls.id.startswith(PREFIX), consistent_read=True)
