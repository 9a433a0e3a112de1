"""Accounts: who may have one, and how it is entered."""

import time
import uuid
from dataclasses import dataclass
from datetime import datetime

from pynamodb.transactions import TransactWrite

from chalicelib import clock, ids, passwords, tokens
from chalicelib.errors import Conflict, FieldError, Invalid, NotAuthenticated
from chalicelib.models.base import ConditionFailed, transact
from chalicelib.models.identities import Identity
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.roles import Role


@dataclass(frozen=True)
class TokenPair:
    """A session's tokens."""

    access: str
    refresh: str


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


def _open(username: str, email: str, password: str, role: Role, now: datetime) -> User:
    if faults := passwords.faults(password, username=username, email=email):
        raise Invalid("The password is not good enough.", faults)
    user = User(
        ids.entity(),
        username=username,
        email=email.lower(),
        role=role.value,
        password_hash=passwords.hashed(password),
        date_joined=clock.rfc3339(now),
    )

    def write(transaction: TransactWrite) -> None:
        transaction.save(Identity.of_username(username, user.id), condition=Identity.name.does_not_exist())
        transaction.save(Identity.of_email(email, user.id), condition=Identity.name.does_not_exist())
        transaction.save(user, condition=User.id.does_not_exist())

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


def login(name: str, password: str) -> TokenPair:
    """Begin a session, by username or email address.

    Raises NotAuthenticated, in the same words and time, for an unknown user, a wrong password and
    an account that is switched off.
    """
    user_id = Identity.owner(name)
    user = User.find(user_id) if user_id else None
    good = passwords.matches(password, user.password_hash if user else None)
    if not (user and good and user.is_active):
        raise NotAuthenticated("No active account has these credentials.")
    return _begin_session(user)


def _begin_session(user: User) -> TokenPair:
    now, session_id = clock.now(), str(uuid.uuid4())

    def issue(kind: str) -> tuple[str, str]:
        return tokens.issue(
            kind, user_id=user.id, username=user.username, role=user.role, session_id=session_id, now=now
        )

    access, _ = issue(tokens.ACCESS)
    refresh, refresh_id = issue(tokens.REFRESH)
    Session(
        session_id,
        user_id=user.id,
        refresh_id=refresh_id,
        auth_version=user.auth_version,
        expires_at=int(time.time()) + tokens.LIFETIME_SECONDS[tokens.REFRESH],
    ).save()
    return TokenPair(access, refresh)


def profile(user_id: str) -> User:
    """The caller's own account.

    Raises NotAuthenticated when it is gone or switched off since the token was made.
    """
    user = User.find(user_id)
    if user is None or not user.is_active:
        raise NotAuthenticated("The account of this token is gone.")
    return user
