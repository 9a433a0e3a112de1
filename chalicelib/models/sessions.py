"""Sessions: one per login, with the one refresh token that is good now."""

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.models.base import Table, table_name


class Session(Table):
    """One login of one user."""

    class Meta:
        table_name = table_name("sessions")

    id = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()
    refresh_id = UnicodeAttribute()
    auth_version = NumberAttribute()
    expires_at = NumberAttribute()
    """Unix seconds; the table's TTL."""
