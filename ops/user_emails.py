"""The state of a user's emails, for an operator who is asked why none arrives."""

from typing import Any

from chalicelib.core import clock
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.identities import Identity
from chalicelib.models.throttles import Throttle
from chalicelib.models.tickets import Ticket
from chalicelib.models.users import User
from chalicelib.services import rate_limits
from chalicelib.services.account_emails import RESET_HOLD


class UserNotFoundError(LookupError):
    """There is no such user."""


def show(name: str) -> dict[str, Any]:
    """Return what decides whether a user gets emails: address, preferences, limits, pending emails and links.

    The request ID of a pending email is that of all log lines about it.

    Raises:
        UserNotFoundError: There is no user of this username or email address.
    """
    user_id = Identity.find_user_id(name)
    user = User.find(user_id) if user_id else None
    if user is None:
        raise UserNotFoundError(f"There is no user {name}.")
    return {
        "id": user.id,
        "email": user.email,
        "email_verified": user.email_verified,
        "is_active": user.is_active,
        "unsubscribed": sorted(user.unwanted_emails),
        "resets_from": _end_of_hold(user),
        "reset_emails_in_this_hour": _count(rate_limits.resets_of(user.id).subject),
        "pending": [
            {"kind": email.kind, "requested_at": email.requested_at, "request_id": email.request_id}
            | {"failed_at": email.email_failed_at, "error": email.email_error}
            for email in AccountEmail.all_of_user(user.id)
        ],
        "links": [
            {"kind": ticket.kind, "expires_at": clock.from_unix(ticket.expires_at)}
            for ticket in Ticket.all_of_user(user.id)
        ],
    }


def _end_of_hold(user: User) -> str | None:
    """Return from when on the password can be reset after a change of the address; None if it was not changed."""
    if user.email_changed_at is None:
        return None
    return clock.format_timestamp(clock.parse_timestamp(user.email_changed_at) + RESET_HOLD)


def _count(subject: str) -> int:
    window = Throttle.find(subject)
    return int(window.reserved) if window and window.expires_at > clock.now().timestamp() else 0
