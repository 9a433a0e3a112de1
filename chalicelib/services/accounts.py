"""Accounts: registration, and what users do with their own account."""

from collections.abc import Collection, Hashable
from datetime import datetime

from chalicelib.core import clock, ids
from chalicelib.core.audit import OPERATOR, Action, Actor
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import Conflict, FieldError, Forbidden, InvalidInput
from chalicelib.core.roles import Role
from chalicelib.models.base import AddableRow, ConditionFailed, adding
from chalicelib.models.identities import Identity
from chalicelib.models.users import IdentityTaken, User
from chalicelib.observability.logs import audit_log
from chalicelib.security import passwords
from chalicelib.services import audit, email_requests, password_attempts, rate_limits, sessions, users

_IDENTITIES = {"username": "username", "email": "email address"}


def register(
    username: str, email: str, password: str, role: Role, *, client_ip: str | None = None, now: datetime | None = None
) -> User:
    """Create the account of a student or an instructor, and request the email by which they verify their address.

    Without ``client_ip``, an operator does it: there is no rate limit, and the address counts as verified.

    Raises:
        InvalidInput: The password violates a rule, or the role is admin.
        Forbidden: The role is instructor, and only admins grant it on this stage.
        TooManyAttempts: The address has registered too often.
        Conflict: The username or email address exists.
    """
    if role is Role.ADMIN:
        raise InvalidInput.for_field("role", "invalid_choice", "The role `admin` cannot be self-assigned.")
    if role is Role.INSTRUCTOR and not settings().is_instructor_registration_open:
        raise Forbidden("Instructors cannot register themselves here. Register as a student and ask an admin.")
    require_valid_password(password, username, email, field="password")
    if client_ip is not None:
        rate_limits.count_registration(client_ip)
    return _create(username, email, password, role, now or clock.now(), email_verified=client_ip is None)


def create_admin(username: str, email: str, password: str) -> User:
    """Create the account of an admin. Only for operators.

    Raises:
        InvalidInput, Conflict: As `register` does.
    """
    require_valid_password(password, username, email, field="password")
    return _create(username, email, password, Role.ADMIN, clock.now(), email_verified=True)


def get_profile(caller: Caller) -> User:
    """Return the caller's own account.

    Raises:
        NotAuthenticated: The caller's session was revoked.
    """
    return sessions.require_active_session(caller)


def change_email(caller: Caller, email: str) -> User:
    """Change the email address of the caller's account. It has to be verified again.

    Raises:
        Conflict: The email address exists.
        TooManyAttempts: The caller has changed it too often.
        NotAuthenticated: The caller's session was revoked.
    """
    user = get_profile(caller)
    if email == user.email:
        return user
    rate_limits.count_email_change(user.id)
    return users.apply_changes(user.id, {"email": email}, by=None)


def change_password(caller: Caller, current: str, new: str, client_ip: str) -> None:
    """Change the password of the caller's account, revoke all its sessions, and inform the user by email.

    Raises:
        InvalidInput: The current password is wrong, or the new one violates a rule.
        TooManyAttempts: Too many attempts failed.
        Conflict: The account changed concurrently.
        NotAuthenticated: The caller's session was revoked.
    """
    user = get_profile(caller)
    with password_attempts.password_attempt(user_id=user.id, name="", address=client_ip) as attempt:
        attempt.succeeded = passwords.verify_password(current, user.password_hash)
    if not attempt.succeeded:
        audit_log.info("Password not changed", event="password.failed", reason="wrong password", user_id=user.id)
        raise InvalidInput.for_field("current", "password_incorrect", "The current password is incorrect.")
    require_valid_password(new, str(user.username), str(user.email), field="new")
    notice = email_requests.create(user.id, EmailKind.PASSWORD_CHANGED)
    entry = audit.entry(Actor.of(caller), Action.PASSWORD_CHANGED, user.id)
    try:
        user.change_password(passwords.hash_password(new), adding(notice, entry))
    except ConditionFailed as error:
        raise Conflict("The account was changed concurrently. Retry.") from error
    email_requests.queue(notice)
    audit_log.info("Password changed", event="password.changed", user_id=user.id, address=client_ip)


def erase(caller: Caller) -> None:
    """Erase the caller's account.

    Raises:
        Conflict: As `users.erase` does.
        NotAuthenticated: The caller's session was revoked.
    """
    users.erase(get_profile(caller).id, by=Actor.of(caller))


def _create(username: str, email: str, password: str, role: Role, now: datetime, *, email_verified: bool) -> User:
    if Identity.find_user_id(username):  # without a look at the email address: the response would reveal whose it is
        raise _taken({"username"})
    user_id, date_joined = ids.new_id(), clock.format_timestamp(now)
    user = User(
        user_id,
        username=username,
        email=email.lower(),
        email_verified=email_verified,
        role=role.value,
        password_hash=passwords.hash_password(password),
        date_joined=date_joined,
        sort_key=f"{date_joined}#{user_id}",
    )
    verification = None if email_verified else email_requests.create(user_id, EmailKind.VERIFICATION)
    rows: list[AddableRow] = [verification] if verification else []
    if role is Role.ADMIN:  # which only operators create
        rows.append(audit.entry(OPERATOR, Action.USER_CREATED, user_id, {"role": [None, role.value]}))
    try:
        user.create(adding(*rows))
    except IdentityTaken as error:
        raise _taken(error.failed) from error
    if verification:
        email_requests.queue(verification)
    return user


def _taken(failed: Collection[Hashable]) -> Conflict:
    """Return the conflict of a taken username, or else of a taken email address."""
    field = "username" if "username" in failed else "email"
    message = f"A user with that {_IDENTITIES[field]} already exists."
    return Conflict("The account already exists.", (FieldError(field, "unique", message),))


def require_valid_password(password: str, username: str, email: str, *, field: str) -> None:
    """Check a new password by the password rules.

    Raises:
        InvalidInput: It violates a rule; ``field`` is its name in the request.
    """
    if violations := passwords.policy_violations(password, username=username, email=email, field=field):
        raise InvalidInput("The password violates the password rules.", violations)
