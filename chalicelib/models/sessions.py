"""Sessions by user: one per login, with its current refresh token."""

from collections.abc import Iterator

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from chalicelib.models.base import Table, TableMeta, get_together, try_conditional
from chalicelib.models.known_addresses import PREFIX as KNOWN_ADDRESSES
from chalicelib.models.users import User


class Session(Table):
    """One login of one user."""

    class Meta(TableMeta):
        name = "sessions"

    user_id = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)
    refresh_id = UnicodeAttribute()  # of the current refresh token
    previous_id = UnicodeAttribute(null=True)  # of the token that it replaced
    rotated_at = NumberAttribute(default=0)  # Unix seconds; when it was issued
    auth_version = NumberAttribute()  # of the user at login
    created_at = UnicodeAttribute()
    expires_at = NumberAttribute()  # Unix seconds; the table's TTL

    @classmethod
    def find(cls, user_id: str, session_id: str) -> "Session | None":
        """Return the session, by a consistent read."""
        return cls.get_or_none(user_id, session_id)

    @classmethod
    def find_with_user(cls, user_id: str, session_id: str) -> "tuple[Session | None, User | None]":
        """Return the session, and the user unless erased, by one call with consistent reads."""
        session, user = get_together((cls, (user_id, session_id)), (User, (user_id,)))
        return session, None if user is None or user.deleted_at else user

    @classmethod
    def all_of_user(cls, user_id: str, after: str = "") -> Iterator["Session"]:
        """Return the sessions of a user after a session ID, by consistent reads."""
        return cls.query(user_id, cls.id.between(after + "\0", KNOWN_ADDRESSES), consistent_read=True)

    @classmethod
    def delete_all_of_user(cls, user_id: str) -> Iterator[int]:
        """Delete the sessions and known addresses of an erased user, and yield the number of rows at each step."""
        with cls.batch_write() as batch:
            for row in cls.query(user_id, consistent_read=True, attributes_to_get=["user_id", "id"]):
                batch.delete(row)
                yield 1

    def rotate(self, used: str, new: str, now: int, expires_at: int) -> bool:
        """Replace the refresh token ``used`` by ``new``, and return False if it is not the current one.

        Times are in Unix seconds. A call whose response is lost is repeated, and then returns False, too.
        """
        actions: list[Action] = [
            Session.refresh_id.set(new),
            Session.previous_id.set(used),
            Session.rotated_at.set(now),
            Session.expires_at.set(expires_at),
        ]
        return try_conditional(lambda: self.update(actions, condition=Session.refresh_id == used))
