"""One-time links in emails: issued by the email worker when it sends, so that no queue and no log has their secrets."""

import time

from chalicelib.core import ids
from chalicelib.core.config import settings
from chalicelib.core.errors import InvalidInput
from chalicelib.models.tickets import LIFETIMES, Ticket, TicketKind
from chalicelib.models.users import User

_ACCOUNT_PATH = "/api/account/"


def issue_link(kind: TicketKind, user: User) -> str:
    """Issue a ticket and return the link that uses it. Earlier tickets of this kind are void from then on.

    The token follows a ``#``: browsers send it to no server, and in no Referer header (RFC 9110 §4.2.3).
    """
    secret = ids.new_secret()
    Ticket.replace(kind, user, secret, int(time.time() + LIFETIMES[kind].total_seconds()))
    return f"{account_page()}#{kind}={user.id}{secret}"


def account_page() -> str:
    """Return the URL of the page that uses tickets: the school's, or this API's own."""
    return settings().app_url or settings().api_url + _ACCOUNT_PATH


def find_valid(kind: TicketKind, token: str) -> tuple[Ticket, User] | None:
    """Return the ticket of a token and its user; None if it is unknown, used, replaced or expired."""
    parts = ids.parse_secret(token)
    if parts is None:
        return None
    user_id, secret = parts
    ticket, user = Ticket.find_with_user(kind, user_id)
    if ticket is None or user is None or not ticket.permits(secret, user, time.time()):
        return None
    if kind is TicketKind.RESET and not user.is_active:
        return None
    return ticket, user


def invalid_token() -> InvalidInput:
    """Return the one error of all tokens that cannot be used."""
    return InvalidInput.for_field("token", "invalid_token", "The link is invalid, was used before or has expired.")
