"""Users, as admins see and change them; there is always one active admin."""

from collections.abc import Mapping
from typing import Any

from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from chalicelib.adapters import sqs
from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, FieldError, Forbidden, NotFound
from chalicelib.core.pagination import Page, PageRequest, turn_to
from chalicelib.core.roles import Role
from chalicelib.models import ledger
from chalicelib.models.base import ConditionFailed, retried, transact
from chalicelib.models.identities import Identity
from chalicelib.models.ledger import LedgerEntry
from chalicelib.models.users import ACTIVE_ADMINS, ERASED, INACTIVE, ActiveAdmins, User
from chalicelib.services import sessions

_ENDS_SESSIONS = {"role", "is_active"}


def browse(caller: Caller, request: PageRequest) -> Page[User]:
    """A page of all users, newest first.

    Raises Forbidden for who is no admin, NotAuthenticated when their session has ended, as all of these do.
    """
    _check_live_admin(caller)
    return turn_to(request, lambda after, back, limit: User.list_all(after=after, back=back, limit=limit))


def read(caller: Caller, user_id: str) -> User:
    """One user.

    Raises Forbidden for who is no admin, NotFound.
    """
    _check_live_admin(caller)
    return _existing(user_id)


def update(caller: Caller, user_id: str, fields: Mapping[str, Any]) -> User:
    """Change a user's email, role or is_active; a changed role or is_active ends their sessions.

    Raises Forbidden for who is no admin, NotFound, Conflict for an address that is taken and for
    the last active admin.
    """
    _check_live_admin(caller)
    return change(user_id, fields)


def delete(caller: Caller, user_id: str) -> None:
    """Erase a user's account.

    Raises Forbidden for who is no admin, NotFound, and Conflict as `erase` does.
    """
    _check_live_admin(caller)
    erase(user_id)


def check_admin(caller: Caller) -> None:
    """Raises Forbidden for who is no admin."""
    if not caller.is_admin:
        raise Forbidden("Only admins may do this.")


def _check_live_admin(caller: Caller) -> None:
    """An admin who was demoted must not use the rest of a token to take it back."""
    check_admin(caller)
    sessions.live_user(caller)


def change(user_id: str, fields: Mapping[str, Any]) -> User:
    """Change a user's email, role or is_active, whoever asks for it. Raises as `update` does."""

    def attempt() -> User:
        old = _existing(user_id)
        changed = {name: value for name, value in fields.items() if getattr(old, name) != value}
        if not changed:
            return old
        new = User(**(old.attribute_values | changed))
        if _ENDS_SESSIONS & changed.keys():
            new.auth_version += 1
        email = str(changed.get("email", ""))

        def write(transaction: TransactWrite) -> None:
            if email:
                transaction.delete(Identity.of_email(str(old.email)))
                transaction.save(Identity.of_email(email, user_id), condition=Identity.name.does_not_exist())
            actions: list[Action] = [getattr(User, name).set(value) for name, value in changed.items()]
            actions.append(User.auth_version.set(new.auth_version))
            if "is_active" in changed:
                actions += _ending(None if new.is_active else INACTIVE)
            transaction.update(old, actions, condition=_unchanged(old))
            _count_admins(transaction, _is_active_admin(new) - _is_active_admin(old))

        try:
            transact(write)
        except ConditionFailed as error:
            if email and Identity.owner(email) not in (None, user_id):
                taken = FieldError("email", "unique", "A user with that email address already exists.")
                raise Conflict("The email address is taken.", (taken,)) from error
            _check_not_last(old, new)
            raise
        return new

    return retried(attempt)


def erase(user_id: str) -> None:
    """Erase an account: names and profile at once, sessions, enrollments and drafts by the queue.

    Raises NotFound, and Conflict while it owns published courses or is the last active admin's.
    """

    def attempt() -> None:
        user = _existing(user_id)
        moment = clock.rfc3339(clock.now())

        def write(transaction: TransactWrite) -> None:
            transaction.delete(Identity.of_username(str(user.username)))
            transaction.delete(Identity.of_email(str(user.email)))
            for entry in LedgerEntry.of_deleted(ledger.USER, user.id, user.date_joined, moment):
                transaction.save(entry)
            gone = [User.username, User.email, User.password_hash, User.position]
            actions: list[Action] = [attribute.remove() for attribute in gone]
            actions += [User.is_active.set(False), User.deleted_at.set(moment), User.auth_version.add(1)]
            actions += _ending(ERASED)
            transaction.update(user, actions, condition=_unchanged(user) & (User.published_courses == 0))
            _count_admins(transaction, -_is_active_admin(user))

        try:
            transact(write)
        except ConditionFailed:
            if _existing(user_id).published_courses:
                raise Conflict("The account owns published courses: unpublish or delete them first.") from None
            _check_not_last(user, None)
            raise

    retried(attempt)
    sqs.send(sqs.DELETIONS, sqs.deletion_message(sqs.USER, user_id))


def _existing(user_id: str) -> User:
    user = User.find(user_id) if ids.is_entity(user_id) else None
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _unchanged(user: User) -> Any:
    return User.is_there() & (User.auth_version == user.auth_version) & (User.email == user.email)


def _ending(state: str | None) -> list[Action]:
    """What puts a user among those whom the cleanup looks after, or takes them from there."""
    if state is None:
        return [User.ended.remove(), User.ended_at.remove()]
    return [User.ended.set(state), User.ended_at.set(clock.rfc3339(clock.now()))]


def _is_active_admin(user: User) -> int:
    return int(user.role == Role.ADMIN and user.is_active)


def _count_admins(transaction: TransactWrite, change_: int) -> None:
    if change_ < 0:
        transaction.update(ActiveAdmins(), [ActiveAdmins.number.add(-1)], condition=ActiveAdmins.number > 1)
    elif change_ > 0:
        transaction.update(ActiveAdmins(), [ActiveAdmins.number.add(1)])


def _check_not_last(old: User, new: User | None) -> None:
    ends = _is_active_admin(old) and not (new and _is_active_admin(new))
    if ends and ActiveAdmins.get(ACTIVE_ADMINS, consistent_read=True).number <= 1:
        raise Conflict("This is the last active admin.")
