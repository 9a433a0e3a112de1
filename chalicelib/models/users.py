"""Users, by id and by role and date; and the count that keeps one admin."""

import heapq
from collections.abc import Iterator
from itertools import islice

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection

from chalicelib.core.roles import Role
from chalicelib.models.base import Table, held, table_name

ACTIVE_ADMINS = "#active-admins"  # no id that the API makes
ERASED = "erased"
INACTIVE = "inactive"


class _ByRole(GlobalSecondaryIndex["User"]):
    class Meta:
        index_name = "by-role"
        projection = IncludeProjection(["username", "email", "is_active", "date_joined"])

    role = UnicodeAttribute(hash_key=True)
    position = UnicodeAttribute(range_key=True)


class _Ended(GlobalSecondaryIndex["User"]):
    class Meta:
        index_name = "ended"
        projection = KeysOnlyProjection()

    ended = UnicodeAttribute(hash_key=True)
    ended_at = UnicodeAttribute(range_key=True)


class User(Table):
    """Someone with an account."""

    class Meta:
        table_name = table_name("users")

    id = UnicodeAttribute(hash_key=True)
    username = UnicodeAttribute(null=True)
    email = UnicodeAttribute(null=True)
    role = UnicodeAttribute()
    password_hash = UnicodeAttribute(null=True)
    is_active = BooleanAttribute(default=True)
    auth_version = NumberAttribute(default=1)
    """Bumped to end every session."""
    published_courses = NumberAttribute(default=0)
    """How many published courses they own; it moves with each publication, in one transaction."""
    date_joined = UnicodeAttribute()
    position = UnicodeAttribute(null=True)
    """Their place among the users: `date_joined` and id; gone with the account."""
    deleted_at = UnicodeAttribute(null=True)
    """The tombstone: to every reader the user is gone from this moment on."""
    ended = UnicodeAttribute(null=True)
    """ERASED or INACTIVE, while the cleanup has something to do about it."""
    ended_at = UnicodeAttribute(null=True)
    by_role = _ByRole()
    of_ended = _Ended()

    @classmethod
    def find(cls, user_id: str) -> "User | None":
        """The user of this id unless they are erased, read consistently."""
        user = cls.row(user_id)
        return None if user is None or user.deleted_at else user

    def change_password_hash(self, new: str) -> None:
        """Keep the same password under a new hash; nothing if the password was changed meanwhile."""
        same = User.password_hash == self.password_hash
        held(lambda: self.update([User.password_hash.set(new)], condition=same))

    @classmethod
    def is_there(cls) -> Condition:
        """The condition that the user exists and is not erased."""
        condition: Condition = cls.id.exists() & cls.deleted_at.does_not_exist()
        return condition

    @classmethod
    def list_all(cls, *, after: str | None, back: bool, limit: int) -> "list[User]":
        """Up to ``limit`` users, newest first, behind a position; by an index that lags a little."""

        def of_role(role: Role) -> Iterator[User]:
            condition = None
            if after is not None:
                condition = cls.position > after if back else cls.position < after
            return cls.by_role.query(role, condition, scan_index_forward=back, limit=limit, page_size=limit)

        merged = heapq.merge(*map(of_role, Role), key=lambda user: str(user.position), reverse=not back)
        return [*islice(merged, limit)]

    @classmethod
    def ids_joined(cls, first: str, last: str) -> set[str]:
        """The ids of those who joined from ``first`` to ``last`` (RFC 3339), by the index."""
        joined = cls.position.between(first, last + "#~")
        return {user.id for role in Role for user in cls.by_role.query(role, joined)}

    @classmethod
    def ended_before(cls, state: str, moment: str) -> "Iterator[User]":
        """The ids, as rows, of those who were ERASED or INACTIVE before a moment (RFC 3339), by the index."""
        rows: Iterator[User] = cls.of_ended.query(state, cls.ended_at < moment)
        return rows

    @classmethod
    def find_inactive(cls, user_id: str, before: str) -> "User | None":
        """The user, if they are inactive since before a moment (RFC 3339), read consistently."""
        user = cls.row(user_id)
        return user if user and user.ended == INACTIVE and str(user.ended_at) < before else None

    def note_swept(self) -> None:
        """Take an inactive one from the index of those whose enrollments are to end; nothing if they came back."""
        same = (User.ended == INACTIVE) & (User.ended_at == self.ended_at)
        held(lambda: self.update([User.ended.remove(), User.ended_at.remove()], condition=same))

    @classmethod
    def bury(cls, user_id: str, before: str) -> bool:
        """Remove the tombstone of a user who was erased before a moment (RFC 3339); whether there was one."""
        return held(lambda: cls(user_id).delete(cls.deleted_at < before))

    @classmethod
    def active_admins(cls) -> "list[User]":
        """The admins who are active, with their names and addresses, by the index."""
        return [user for user in cls.by_role.query(Role.ADMIN) if user.is_active]

    @classmethod
    def first_joined(cls, role: str) -> str | None:
        """When the first of a role joined, by the index."""
        oldest: Iterator[User] = cls.by_role.query(role, limit=1)
        return next((str(user.position).partition("#")[0] for user in oldest), None)


class ActiveAdmins(Table):
    """How many active admins there are: one row, on which every change of that number meets the others."""

    class Meta:
        table_name = table_name("users")

    id = UnicodeAttribute(hash_key=True, default=ACTIVE_ADMINS)
    number = NumberAttribute(default=0)
