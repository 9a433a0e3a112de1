"""Usernames and email addresses: unique by a transaction, and the lookup at login."""

from pynamodb.attributes import UnicodeAttribute

from chalicelib.models.base import Table, TableMeta


class Identity(Table):
    """A username or email address of a user."""

    class Meta(TableMeta):
        name = "identities"

    name = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()

    @classmethod
    def of_username(cls, username: str, user_id: str = "") -> "Identity":
        """Return the case-insensitive identity of a username, not yet saved."""
        return cls(f"username#{username.lower()}", user_id=user_id)

    @classmethod
    def of_email(cls, email: str, user_id: str = "") -> "Identity":
        """Return the case-insensitive identity of an email address, not yet saved."""
        return cls(f"email#{email.lower()}", user_id=user_id)

    @classmethod
    def find_user_id(cls, login: str) -> str | None:
        """Return the ID of the user with this username or email address, by a consistent read."""
        identity = cls.of_email(login) if "@" in login else cls.of_username(login)
        row = cls.get_or_none(identity.name)
        return row.user_id if row else None
