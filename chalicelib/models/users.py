"""Users: the table and its transactional writes. There is always at least one active admin."""

import heapq
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.core.roles import Role
from chalicelib.models.active_admins import count_admins
from chalicelib.models.base import (
    ConditionFailed,
    Extend,
    StaleRead,
    Table,
    TableMeta,
    Transaction,
    access_together,
    add_nothing,
    try_conditional,
)
from chalicelib.models.email_preferences import EmailPreferences
from chalicelib.models.identities import Identity
from chalicelib.models.ledger import Event, record_deletion
from chalicelib.models.user_indexes import ByLifecycle, ByRole

ERASED, SWEPT = "erased", "erased-swept"
INACTIVE = "inactive"
_SESSION_REVOKING_FIELDS = {"role", "is_active"}


class IdentityTaken(ConditionFailed):
    """Another user has the username or email address; ``failed`` names the fields."""


class LastAdmin(ConditionFailed):
    """The write would leave no active admin."""


class OwnsPublishedCourses(ConditionFailed):
    """The user owns published courses."""


class User(EmailPreferences, Table):
    """A user with an account."""

    class Meta(TableMeta):
        name = "users"

    id = UnicodeAttribute(hash_key=True)
    username = UnicodeAttribute(null=True)
    email = UnicodeAttribute(null=True)
    email_verified = BooleanAttribute(default=False)  # whether the user confirmed that the address is theirs
    email_changed_at = UnicodeAttribute(null=True)  # by the user; an operator or admin does not set it
    role = UnicodeAttribute()
    password_hash = UnicodeAttribute(null=True)
    is_active = BooleanAttribute(default=True)
    auth_version = NumberAttribute(default=1)  # an increment revokes all sessions
    published_courses = NumberAttribute(default=0)  # changes in the transactions that publish and unpublish
    date_joined = UnicodeAttribute()
    sort_key = UnicodeAttribute(null=True)  # date_joined and ID; removed with the account
    deleted_at = UnicodeAttribute(null=True)  # the tombstone: for readers, the user does not exist from then on
    lifecycle = UnicodeAttribute(null=True)  # ERASED, then SWEPT; or INACTIVE; the partition of the index
    lifecycle_at = UnicodeAttribute(null=True)
    by_role = ByRole()
    by_lifecycle = ByLifecycle()

    # Classification of all attributes; a test fails for a new attribute that is in none of these.
    # Personal data, not kept on a tombstone.
    ERASED_BY_DELETION = (
        "username", "email", "email_verified", "email_changed_at", "password_hash", "sort_key",
        *EmailPreferences.EMAIL_ATTRIBUTES,
    )  # fmt: skip
    INTERNAL_ATTRIBUTES = ("auth_version", "published_courses", "deleted_at", "lifecycle", "lifecycle_at")

    @property
    def is_active_admin(self) -> bool:
        """Whether the user counts as an active admin."""
        return bool(self.role == Role.ADMIN and self.is_active)

    @classmethod
    def find(cls, user_id: str) -> "User | None":
        """Return the user unless erased, by a consistent read."""
        user = cls.get_or_none(user_id)
        return None if user is None or user.deleted_at else user

    @classmethod
    def find_inactive(cls, user_id: str, before: str) -> "User | None":
        """Return the user if inactive since before a timestamp, by a consistent read."""
        user = cls.get_or_none(user_id)
        return user if user and user.lifecycle == INACTIVE and str(user.lifecycle_at) < before else None

    @classmethod
    def list_all(cls, *, after: str | None, backward: bool, limit: int) -> list["User"]:
        """Return up to ``limit`` users, newest first, after a sort key; by an eventually consistent index."""

        def of_role(role: Role) -> list[User]:
            condition = None
            if after is not None:
                condition = cls.sort_key > after if backward else cls.sort_key < after
            return [*cls.by_role.query(role, condition, scan_index_forward=backward, limit=limit, page_size=limit)]

        roles = access_together([cls], [partial(of_role, role) for role in Role])
        merged = heapq.merge(*roles, key=lambda user: str(user.sort_key), reverse=not backward)
        return [*islice(merged, limit)]

    @classmethod
    def joined_between(cls, first: str, last: str) -> Iterator[tuple[str, str]]:
        """Return joining and ID of the users who joined from ``first`` to ``last`` (RFC 3339), oldest first.

        By the index, eventually consistent.
        """
        joined = cls.sort_key.between(first, last + "#~")
        roles = (cls.by_role.query(role, joined) for role in Role)
        rows = heapq.merge(*roles, key=lambda user: str(user.sort_key))
        return ((str(user.sort_key).partition("#")[0], user.id) for user in rows)

    @classmethod
    def lifecycle_ids(cls, state: str, before: str) -> Iterator[str]:
        """Return the IDs of the users in a state since before a timestamp; by the index."""
        return (row.id for row in cls.by_lifecycle.query(state, cls.lifecycle_at < before))

    @classmethod
    def active_admins(cls) -> list["User"]:
        """Return the active admins with their usernames and email addresses; by the index."""
        return [user for user in cls.by_role.query(Role.ADMIN) if user.is_active]

    @classmethod
    def first_joined(cls) -> str | None:
        """Return when the first user joined, or None if there is none; by the index."""
        oldest = [user for role in Role for user in cls.by_role.query(role, limit=1)]
        return min((str(user.sort_key).partition("#")[0] for user in oldest), default=None)

    @classmethod
    def exists_condition(cls) -> Condition:
        """Return the condition that the user exists and is not erased."""
        condition: Condition = cls.id.exists() & cls.deleted_at.does_not_exist()
        return condition

    def create(self, extend: Extend = add_nothing) -> None:
        """Save a new user with their identities, in one transaction with the items that ``extend`` adds.

        Raises:
            IdentityTaken: The username or email address exists.
        """
        transaction = Transaction()
        extend(transaction)
        is_free = Identity.name.does_not_exist()
        transaction.put(Identity.of_username(str(self.username), self.id), is_free, label="username")
        transaction.put(Identity.of_email(str(self.email), self.id), is_free, label="email")
        transaction.put(self, User.id.does_not_exist())
        count_admins(transaction, int(self.is_active_admin))
        try:
            transaction.run()
        except ConditionFailed as error:
            raise IdentityTaken(error.failed - {None}) from error

    def apply(self, changes: Mapping[str, Any], at: str, extend: Extend = add_nothing) -> "User":
        """Change email, role or is_active, and return the new state. Changes of role and is_active revoke all sessions.

        The value None removes an attribute. ``extend`` adds items to the transaction.

        Raises:
            StaleRead: The user changed after it was read.
            IdentityTaken: The new email address exists.
            LastAdmin: No active admin would remain.
        """
        new = User(**(self.attribute_values | dict(changes)))
        if _SESSION_REVOKING_FIELDS & changes.keys():
            new.auth_version += 1
        transaction = Transaction()
        extend(transaction)
        if "email" in changes:
            transaction.delete(Identity.of_email(str(self.email)))
            identity = Identity.of_email(str(new.email), self.id)
            transaction.put(identity, Identity.name.does_not_exist(), label="email")
        actions = [_action(name, value) for name, value in changes.items()]
        actions.append(User.auth_version.set(new.auth_version))
        if "is_active" in changes:
            actions += _lifecycle_actions(None if new.is_active else INACTIVE, at)
        transaction.update(self, actions, self._unchanged(), label="user")
        count_admins(transaction, new.is_active_admin - self.is_active_admin)
        _run(transaction)
        return new

    def erase(self, at: str, extend: Extend = add_nothing) -> None:
        """Turn the user into a tombstone without personal data, and release their identities.

        ``extend`` adds items to the transaction.

        Raises:
            StaleRead: The user changed after it was read.
            OwnsPublishedCourses: They own published courses.
            LastAdmin: No active admin would remain.
        """
        if self.published_courses:
            raise OwnsPublishedCourses
        transaction = Transaction()
        extend(transaction)
        transaction.delete(Identity.of_username(str(self.username)))
        transaction.delete(Identity.of_email(str(self.email)))
        record_deletion(transaction, Event.USER_CREATED, Event.USER_DELETED, self.id, self.date_joined, at)
        actions: list[Action] = [getattr(User, name).remove() for name in self.ERASED_BY_DELETION]
        actions += [User.is_active.set(False), User.deleted_at.set(at), User.auth_version.add(1)]
        actions += _lifecycle_actions(ERASED, at)
        transaction.update(self, actions, self._unchanged() & (User.published_courses == 0), label="user")
        count_admins(transaction, -int(self.is_active_admin))
        _run(transaction)

    def change_password(self, password_hash: str, extend: Extend) -> None:
        """Store a new password's hash and revoke all sessions, in one transaction with the items that ``extend`` adds.

        Raises:
            ConditionFailed: The account changed after its read (its label is "user"), or another condition failed.
        """
        actions: list[Action] = [User.password_hash.set(password_hash), User.auth_version.add(1)]
        self._change(actions, self._unchanged(), extend)

    def verify_email(self, extend: Extend) -> None:
        """Record that the email address is the user's, unless it changed. Otherwise as `change_password`."""
        has_address = User.exists_condition() & (User.email == self.email)
        self._change([User.email_verified.set(True)], has_address, extend)

    def _change(self, actions: list[Action], condition: Condition, extend: Extend) -> None:
        transaction = Transaction()
        extend(transaction)
        transaction.update(self, actions, condition, label="user")
        transaction.run()

    def rehash_password(self, password_hash: str) -> None:
        """Store the hash of the same password by new parameters, unless the password was changed."""
        unchanged = User.password_hash == self.password_hash
        try_conditional(lambda: self.update([User.password_hash.set(password_hash)], condition=unchanged))

    def clear_inactive(self) -> None:
        """Remove an inactive user from the lifecycle index, unless they became active or inactive again."""
        unchanged = (User.lifecycle == INACTIVE) & (User.lifecycle_at == self.lifecycle_at)
        try_conditional(lambda: self.update(_lifecycle_actions(None, ""), condition=unchanged))

    @classmethod
    def is_current(cls, role: Role) -> Condition:
        """Return the condition that the user exists, is active, and has a role: no write outlives these."""
        condition: Condition = cls.exists_condition() & (cls.role == role.value) & (cls.is_active == True)  # noqa: E712
        return condition

    def check_still_inactive(self, transaction: Transaction, label: str) -> None:
        """Add the condition that the user has been inactive since this row was read."""
        transaction.check(User, self.id, User.lifecycle_at == self.lifecycle_at, label=label)

    def check_may_log_in(self, transaction: Transaction, label: str) -> None:
        """Add the condition that the user is active, and that no change since this row was read revokes sessions."""
        is_active = User.exists_condition() & (User.is_active == True)  # noqa: E712
        transaction.check(User, self.id, is_active & (User.auth_version == self.auth_version), label=label)

    @classmethod
    def purge_tombstone(cls, user_id: str, before: str) -> bool:
        """Delete the row of a user erased before a timestamp, and return whether there was one."""
        return try_conditional(lambda: cls(user_id).delete(cls.deleted_at < before))

    @classmethod
    def mark_swept(cls, user_id: str, before: str) -> bool:
        """Record that the dependents of a user erased before a timestamp were deleted, unless that is recorded."""
        is_unswept = (cls.lifecycle == ERASED) & (cls.deleted_at < before)
        return try_conditional(lambda: cls(user_id).update([cls.lifecycle.set(SWEPT)], condition=is_unswept))

    def _unchanged(self) -> Condition:
        condition: Condition = (
            User.exists_condition() & (User.auth_version == self.auth_version) & (User.email == self.email)
        )
        return condition


def _action(name: str, value: object) -> Action:
    attribute = getattr(User, name)
    action: Action = attribute.remove() if value is None else attribute.set(value)
    return action


def _lifecycle_actions(state: str | None, at: str) -> list[Action]:
    if state is None:
        return [User.lifecycle.remove(), User.lifecycle_at.remove()]
    return [User.lifecycle.set(state), User.lifecycle_at.set(at)]


def _run(transaction: Transaction) -> None:
    """Run a transaction; when the user changed as well, the other conditions may have failed because of that."""
    try:
        transaction.run()
    except ConditionFailed as error:
        if "user" in error.failed:
            raise StaleRead(error.failed) from error
        if "email" in error.failed:
            raise IdentityTaken(error.failed) from error
        if "last admin" in error.failed:
            raise LastAdmin(error.failed) from error
        raise
