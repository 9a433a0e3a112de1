"""Accounts: who may have one, and what its owner does with it."""

from datetime import datetime

from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, FieldError, Invalid
from chalicelib.core.roles import Role
from chalicelib.models.base import ConditionFailed, held, transact
from chalicelib.models.identities import Identity
from chalicelib.models.users import ActiveAdmins, User
from chalicelib.security import passwords
from chalicelib.services import login_throttling, sessions, users


def register(username: str, email: str, password: str, role: Role, now: datetime | None = None) -> User:
    """Open an account for a student or an instructor.

    Raises Invalid for a password that breaks a rule, Conflict for a name or address that is taken.
    """
    if role is Role.ADMIN:
        raise Invalid.field("role", "invalid_choice", "Nobody makes themselves an admin.")
    return _open(username, email, password, role, now or clock.now())


def create_admin(username: str, email: str, password: str) -> User:
    """Open an account for an admin; only who operates the stage may call this.

    Raises as `register` does.
    """
    return _open(username, email, password, Role.ADMIN, clock.now())


def profile(caller: Caller) -> User:
    """The caller's own account.

    Raises NotAuthenticated when their session has ended since the token was made.
    """
    return sessions.live_user(caller)


def change_email(caller: Caller, email: str) -> User:
    """Give the caller's account another email address.

    Raises Conflict for one that is taken, NotAuthenticated as `profile` does.
    """
    return users.change(profile(caller).id, {"email": email})


def change_password(caller: Caller, current: str, new: str, address: str) -> None:
    """Give the caller's account another password, and end every session of it.

    Raises Invalid for a wrong current password, or a new one that breaks a rule, Throttled after too
    many wrong ones, NotAuthenticated as `profile` does.
    """
    user = profile(caller)
    with login_throttling.guess(user_id=user.id, name="", address=address) as attempt:
        attempt.good = passwords.matches(current, user.password_hash)
    if not attempt.good:
        raise Invalid.field("current", "password_incorrect", "This is not your password.")
    _check_password(new, str(user.username), str(user.email), field="new")
    new_hash = passwords.hashed(new)
    actions: list[Action] = [User.password_hash.set(new_hash), User.auth_version.add(1)]
    unchanged = User.is_there() & (User.auth_version == user.auth_version)
    if not held(lambda: user.update(actions, condition=unchanged)):
        # It can be done by this very call: botocore tries again when an answer is lost on its way.
        there = User.find(user.id)
        if there is not None and there.password_hash == new_hash:
            return
        raise Conflict("The account was changed at the same time: try again.")


def erase(caller: Caller) -> None:
    """Erase the caller's account: names and profile at once, enrollments and sessions by the queue.

    Raises Conflict while it owns published courses, or is the last active admin's, NotAuthenticated
    as `profile` does.
    """
    users.erase(profile(caller).id)


def _open(username: str, email: str, password: str, role: Role, now: datetime) -> User:
    _check_password(password, username, email, field="password")
    user_id, date_joined = ids.entity(), clock.rfc3339(now)
    user = User(
        user_id,
        username=username,
        email=email.lower(),
        role=role.value,
        password_hash=passwords.hashed(password),
        date_joined=date_joined,
        position=f"{date_joined}#{user_id}",
    )

    def write(transaction: TransactWrite) -> None:
        transaction.save(Identity.of_username(username, user.id), condition=Identity.name.does_not_exist())
        transaction.save(Identity.of_email(email, user.id), condition=Identity.name.does_not_exist())
        transaction.save(user, condition=User.id.does_not_exist())
        if role is Role.ADMIN:
            transaction.update(ActiveAdmins(), [ActiveAdmins.number.add(1)])

    try:
        transact(write)
    except ConditionFailed as error:
        taken = [("username", "username"), ("email", "email address")]
        fields = tuple(
            FieldError(field, "unique", f"A user with that {name} already exists.")
            for number, (field, name) in enumerate(taken)
            if number in error.failed
        )
        raise Conflict("The account exists already.", fields) from error
    return user


def _check_password(password: str, username: str, email: str, *, field: str) -> None:
    if faults := passwords.faults(password, username=username, email=email, field=field):
        raise Invalid("The password is not good enough.", faults)
