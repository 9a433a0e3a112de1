"""The indexes of the table of users."""

from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection


class ByRole(GlobalSecondaryIndex[Any]):
    """The users of a role, by the time at which they joined."""

    class Meta:
        index_name = "by-role"
        projection = IncludeProjection(["username", "email", "email_verified", "is_active", "date_joined"])

    role = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class ByLifecycle(GlobalSecondaryIndex[Any]):
    """The erased and the inactive users, by the time since which they are."""

    class Meta:
        index_name = "by-lifecycle"
        projection = KeysOnlyProjection()

    lifecycle = UnicodeAttribute(hash_key=True)
    lifecycle_at = UnicodeAttribute(range_key=True)
