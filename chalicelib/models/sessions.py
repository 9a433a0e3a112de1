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

    @classmethod
    def find(cls, user_id: str, session_id: str) -> "Session | None":
        """The session of this user and id, read consistently."""
        try:
            return cls.get(user_id, session_id, consistent_read=True)
        except cls.DoesNotExist:
            return None

    def rotate(self, used: str, new: str, expires_at: int) -> bool:
        """Put a new refresh token in the used one's place; False if the used one is not the good one."""
        try:
            self.update(
                [Session.refresh_id.set(new), Session.expires_at.set(expires_at)], condition=Session.refresh_id == used
            )
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            # It can be done by this very call: botocore tries again when an answer is lost on its way.
            there = Session.find(self.user_id, self.id)
            return there is not None and there.refresh_id == new
        return True
