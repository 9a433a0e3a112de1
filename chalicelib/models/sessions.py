"""Sessions, by user: one per login, with the one refresh token that is good now."""

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from chalicelib.models.base import Table, held, table_name


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
        return cls.row(user_id, session_id)

    def rotate(self, used: str, new: str, expires_at: int) -> bool:
        """Put a new refresh token in the used one's place; False if the used one is not the good one."""
        actions: list[Action] = [Session.refresh_id.set(new), Session.expires_at.set(expires_at)]
        if held(lambda: self.update(actions, condition=Session.refresh_id == used)):
            return True
        # It can be done by this very call: botocore tries again when an answer is lost on its way.
        there = Session.find(self.user_id, self.id)
        return there is not None and there.refresh_id == new
