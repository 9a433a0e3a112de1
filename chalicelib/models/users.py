"""Users, by id and by role and date."""

from collections.abc import Iterator

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from chalicelib.models.base import Table, table_name


class _ByRole(GlobalSecondaryIndex["User"]):
    class Meta:
        index_name = "by-role"
        projection = AllProjection()

    role = UnicodeAttribute(hash_key=True)
    date_joined = UnicodeAttribute(range_key=True)


class User(Table):
    """Someone with an account."""

    class Meta:
        table_name = table_name("users")

    id = UnicodeAttribute(hash_key=True)
    username = UnicodeAttribute()
    email = UnicodeAttribute()
    role = UnicodeAttribute()
    password_hash = UnicodeAttribute()
    is_active = BooleanAttribute(default=True)
    auth_version = NumberAttribute(default=1)
    date_joined = UnicodeAttribute()
    by_role = _ByRole()

    @classmethod
    def find(cls, user_id: str) -> "User | None":
        """The user of this id, read consistently."""
        try:
            return cls.get(user_id, consistent_read=True)
        except cls.DoesNotExist:
            return None

    @classmethod
    def count_joined(cls, role: str, first: str, last: str) -> int:
        """How many of a role joined from ``first`` to ``last`` (RFC 3339), by the index."""
        return cls.by_role.count(role, cls.date_joined.between(first, last))

    @classmethod
    def first_joined(cls, role: str) -> str | None:
        """When the first of a role joined, by the index."""
        oldest: Iterator[User] = cls.by_role.query(role, limit=1)
        return next((user.date_joined for user in oldest), None)
