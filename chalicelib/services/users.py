"""User administration by admins."""

from collections.abc import Mapping
from typing import Any

from chalicelib.adapters import sqs
from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock, ids
from chalicelib.core.audit import OPERATOR, Action, Actor
from chalicelib.core.caller import Caller
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import Conflict, FieldError, Forbidden, NotFound
from chalicelib.core.pagination import Page, PageRequest, paginate
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.base import adding, retry_stale_reads
from chalicelib.models.users import IdentityTaken, LastAdmin, OwnsPublishedCourses, User
from chalicelib.services import audit, email_requests, rate_limits, sessions


def list_users(caller: Caller, request: PageRequest) -> Page[User]:
    """Return a page of all users, newest first.

    Raises:
        Forbidden: The caller is not an admin.
        NotAuthenticated: The caller's session was revoked.
    """
    require_active_admin(caller)
    return paginate(request, lambda after, backward, limit: User.list_all(after=after, backward=backward, limit=limit))


def get(caller: Caller, user_id: str) -> User:
    """Return a user.

    Raises:
        Forbidden, NotAuthenticated: As `list_users` does.
        NotFound: The user does not exist.
    """
    require_active_admin(caller)
    return _require(user_id)


def update(caller: Caller, user_id: str, fields: Mapping[str, Any]) -> User:
    """Change a user's email, role or is_active. Changes of role and is_active revoke their sessions.

    Raises:
        Forbidden, NotAuthenticated: As `list_users` does.
        NotFound, Conflict: As `apply_changes` does.
        TooManyAttempts: The caller has changed their own address too often.
    """
    admin = require_active_admin(caller)
    if user_id == admin.id and fields.get("email", admin.email) != admin.email:
        rate_limits.count_email_change(user_id)
    return apply_changes(user_id, fields, by=Actor.of(caller))


def delete(caller: Caller, user_id: str) -> None:
    """Erase a user's account.

    Raises:
        Forbidden, NotAuthenticated: As `list_users` does.
        NotFound, Conflict: As `erase` does.
    """
    require_active_admin(caller)
    erase(user_id, by=Actor.of(caller))


def require_admin(caller: Caller) -> None:
    """Check the caller's role.

    Raises:
        Forbidden: The caller is not an admin.
    """
    if not caller.is_admin:
        raise Forbidden("Only admins can do this.")


def require_active_admin(caller: Caller) -> User:
    """Return the user of the caller, an admin whose session is active.

    A demoted admin must not use the rest of a token's lifetime.

    Raises:
        Forbidden: The caller is not an admin.
        NotAuthenticated: The caller's session was revoked.
    """
    require_admin(caller)
    return sessions.require_active_session(caller)


def apply_changes(user_id: str, fields: Mapping[str, Any], by: Actor | None = OPERATOR) -> User:
    """Change a user's email, role or is_active, without a check of the caller.

    A new address has to be verified. An email to it requests that, and one to the old address informs of the change.
    For `account_emails.RESET_HOLD` after users changed their own address, no password is reset: a stolen token must not
    suffice to take over the account. ``by`` is who does it, for the audit log; None if the users do it themselves.

    Raises:
        NotFound: The user does not exist.
        Conflict: The email address exists, or no active admin would remain.
    """

    def attempt() -> tuple[User, list[AccountEmail]]:
        user = _require(user_id)
        changes = {name: value for name, value in fields.items() if getattr(user, name) != value}
        if not changes:
            return user, []
        emails: list[AccountEmail] = []
        entries = audit.user_entries(by, user, changes) if by else []
        if "email" in changes:
            is_own = by is None or by.id == user_id
            changes |= {"email_verified": False, "email_changed_at": clock.timestamp() if is_own else None}
            emails.append(email_requests.create(user.id, EmailKind.VERIFICATION))
            emails.append(email_requests.create(user.id, EmailKind.EMAIL_CHANGED, address=str(user.email)))
        return user.apply(changes, clock.timestamp(), adding(*emails, *entries)), emails

    try:
        user, emails = retry_stale_reads(attempt)
    except IdentityTaken as error:
        field = FieldError("email", "unique", "A user with that email address already exists.")
        raise Conflict("The email address is already in use.", (field,)) from error
    except LastAdmin as error:
        raise _last_admin() from error
    for email in emails:
        email_requests.queue(email)
    return user


def erase(user_id: str, at: str | None = None, by: Actor = OPERATOR) -> None:
    """Erase an account: profile and identities now; sessions, enrollments and drafts asynchronously.

    ``at`` is the time of an earlier erasure that is repeated: the ledger has it already, and counts it once. ``by`` is
    who does it, for the audit log.

    Raises:
        NotFound: The user does not exist.
        Conflict: They own published courses, or no active admin would remain.
    """
    extend = adding(audit.entry(by, Action.USER_ERASED, user_id))
    try:
        retry_stale_reads(lambda: _require(user_id).erase(at or clock.timestamp(), extend))
    except OwnsPublishedCourses:
        raise Conflict("The account owns published courses: unpublish or delete them first.") from None
    except LastAdmin as error:
        raise _last_admin() from error
    sqs.send(sqs.DELETIONS, sqs.deletion_message(CascadeTarget.USER, user_id))


def _require(user_id: str) -> User:
    user = User.find(user_id) if ids.is_valid_id(user_id) else None
    if user is None:
        raise NotFound("User not found.")
    return user


def _last_admin() -> Conflict:
    return Conflict("This is the last active admin.")
