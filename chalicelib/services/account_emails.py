"""Emails about accounts, composed when they are sent."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from chalicelib.adapters.ses import EmailMessage
from chalicelib.core import clock
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import TooManyAttempts
from chalicelib.models.account_emails import AccountEmail, split_id
from chalicelib.models.base import ConditionFailed
from chalicelib.models.tickets import TicketKind
from chalicelib.models.users import User
from chalicelib.services import email_requests, rate_limits, report_emails, tickets
from chalicelib.services.email_rendering import render

# How long no password is reset after users changed their own address: a stolen token must not suffice for that.
RESET_HOLD = timedelta(days=1)


def find(kind: EmailKind, email_id: str, request_id: str) -> tuple[User, Callable[[str], EmailMessage | None]] | None:
    """Return the recipient of a pending email, and a function that renders it with an unsubscribe URL, by one read.

    Return None if it was sent or its account was erased. The function issues the ticket of the link. It returns None if
    the email is not to be sent.
    """
    email, user = AccountEmail.find_with_user(email_id)
    if user is None:
        return None
    if email is None:
        is_reset = kind is EmailKind.PASSWORD_RESET
        return (user, partial(_compose_reset, user, email_id, request_id)) if is_reset else None
    return user, partial(_compose, email, user)


def _compose_reset(user: User, email_id: str, request_id: str, unsubscribe_url: str) -> EmailMessage | None:
    email = _accept_reset(user, email_id, request_id)
    return _compose(email, user, unsubscribe_url) if email else None


def _compose(email: AccountEmail, user: User, unsubscribe_url: str) -> EmailMessage | None:
    kind = EmailKind(email.email_kind)
    if kind is EmailKind.REPORT:
        day, to = report_emails.date_of(email), str(user.email)
        return report_emails.render(day, to, unsubscribe_url=unsubscribe_url) if user.is_active_admin else None
    if kind is EmailKind.VERIFICATION and user.email_verified:
        return None
    if kind is EmailKind.PASSWORD_RESET and not _may_reset(user):
        return None
    return render(kind, str(email.address or user.email), _values(kind, user))


def _values(kind: EmailKind, user: User) -> Mapping[str, str]:
    values = {"username": str(user.username)}
    match kind:
        case EmailKind.VERIFICATION:
            values["link"] = tickets.issue_link(TicketKind.VERIFY, user)
        case EmailKind.PASSWORD_RESET:
            values["link"] = tickets.issue_link(TicketKind.RESET, user)
        case EmailKind.PASSWORD_CHANGED:
            values["link"] = f"{tickets.account_page()}#forgot"
    return values


def _may_reset(user: User) -> bool:
    """Return whether the password may be reset by email: not of an inactive user, nor soon after a new address."""
    if user.email_changed_at and clock.now() - clock.parse_timestamp(user.email_changed_at) < RESET_HOLD:
        return False
    return bool(user.is_active)


def _accept_reset(user: User, email_id: str, request_id: str) -> AccountEmail | None:
    """Save the email that was requested to reset a password, unless the account must not or has had too many.

    It is saved here, and not by the request: a write for existing accounts only would show which these are.
    """
    if not _may_reset(user):
        return None
    _, own_id = split_id(email_id)
    email = AccountEmail.new(user.id, EmailKind.PASSWORD_RESET, clock.timestamp(), request_id, email_id=own_id)
    try:
        email_requests.save_within([rate_limits.resets_of(user.id)], email)
    except TooManyAttempts:
        return None
    except ConditionFailed:  # saved by an earlier delivery of the message
        return AccountEmail.find_with_user(email_id)[0]
    return email
