"""Sessions, by user: one per login, with the one refresh token that is good now."""

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import UpdateError

from chalicelib.models.base import Table, table_name


class Session(Table):
    """One login of one user."""

    class Meta:
        table_name = table_name("sessions")

    user_id = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)
    refresh_id = UnicodeAttribute()
    auth_version = NumberAttribute()
    created_at = UnicodeAttribute()
    expires_at = NumberAttribute()
    """Unix seconds; the table's TTL."""

    def rotate(self, used: str, new: str, expires_at: int) -> bool:
        """Put a new refresh token in the used one's place; False if the used one is not the good one."""
        try:
            self.update(
                [Session.refresh_id.set(new), Session.expires_at.set(expires_at)], condition=Session.refresh_id == used
            )
        except UpdateError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True
