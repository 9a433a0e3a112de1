"""Sessions by user: one per login, with its current refresh token."""

from collections.abc import Iterator

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from chalicelib.models.base import Table, TableMeta, try_conditional


class Session(Table):
    """One login of one user."""

    class Meta(TableMeta):
        name = "sessions"

    user_id = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)
    refresh_id = UnicodeAttribute()  # of the one refresh token that is valid now
    auth_version = NumberAttribute()  # of the user at login
    created_at = UnicodeAttribute()
    expires_at = NumberAttribute()  # Unix seconds; the table's TTL

    @classmethod
    def find(cls, user_id: str, session_id: str) -> "Session | None":
        """Return the session, by a consistent read."""
        return cls.get_or_none(user_id, session_id)

    @classmethod
    def all_of_user(cls, user_id: str, after: str = "") -> Iterator["Session"]:
        """Return the sessions of a user after a session ID, by consistent reads."""
        return cls.query(user_id, cls.id > after if after else None, consistent_read=True)

    @classmethod
    def delete_all_of_user(cls, user_id: str) -> Iterator[int]:
        """Delete the sessions of an erased user, and yield the number of rows at each step."""
        with cls.batch_write() as batch:
            for session in cls.all_of_user(user_id):
                batch.delete(session)
                yield 1

    def rotate(self, used: str, new: str, expires_at: int) -> bool:
        """Replace the refresh token ``used`` by ``new``, and return False if it is not the current one."""
        actions: list[Action] = [Session.refresh_id.set(new), Session.expires_at.set(expires_at)]
        if try_conditional(lambda: self.update(actions, condition=Session.refresh_id == used)):
            return True
        # This very call may have succeeded: a call whose response is lost is repeated.
        stored = Session.find(self.user_id, self.id)
        return stored is not None and stored.refresh_id == new
