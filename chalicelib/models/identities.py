"""Who owns a username or an email address: unique by a transaction, and the lookup at login."""

from pynamodb.attributes import UnicodeAttribute

from chalicelib.models.base import Table, table_name


class Identity(Table):
    """One name that leads to a user."""

    class Meta:
        table_name = table_name("identities")

    name = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()

    @classmethod
    def of_username(cls, username: str, user_id: str = "") -> "Identity":
        """The identity of a username, without regard to case."""
        return cls(f"username#{username.lower()}", user_id=user_id)

    @classmethod
    def of_email(cls, email: str, user_id: str = "") -> "Identity":
        """The identity of an email address, without regard to case."""
        return cls(f"email#{email.lower()}", user_id=user_id)

    @classmethod
    def owner(cls, login: str) -> str | None:
        """The id of the user whose username or email address this is, read consistently."""
        wanted = cls.of_email(login) if "@" in login else cls.of_username(login)
        found = cls.row(wanted.name)
        return found.user_id if found else None
