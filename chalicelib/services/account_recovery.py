"""Forgotten passwords and the verification of email addresses, by links in emails."""

from chalicelib.adapters import sqs
from chalicelib.core import ids
from chalicelib.core.audit import Action, Actor, Via
from chalicelib.core.caller import Caller
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import Conflict, Throttled
from chalicelib.core.roles import Role
from chalicelib.models.base import ConditionFailed, Transaction, adding
from chalicelib.models.identities import Identity
from chalicelib.models.tickets import Ticket, TicketKind
from chalicelib.models.users import User
from chalicelib.observability import logs
from chalicelib.observability.logs import audit_log, error_log
from chalicelib.security import passwords, signing_keys
from chalicelib.services import accounts, audit, email_requests, password_attempts, rate_limits, tickets


def request_password_reset(name: str, client_ip: str) -> None:
    """Request the email by which a user sets a new password.

    Whether the account exists makes no difference for the response, the calls or their duration: the message of an
    unknown name has a random ID, and the email worker drops it. The worker counts the emails of an account, too.

    Raises:
        TooManyAttempts: The address has requested too many.
        Throttled: SQS did not accept the message.
    """
    rate_limits.count_reset_request(client_ip)
    user_id, name_hmac = Identity.find_user_id(name), signing_keys.keyed_hash(name.lower())
    message = sqs.email_message(
        EmailKind.PASSWORD_RESET, (user_id or ids.new_id()) + ids.new_id(), logs.request_id.get()
    )
    if not sqs.send(sqs.EMAILS, message):
        raise Throttled
    audit_log.info(
        "Password reset requested",
        event="password.reset_requested",
        user_id=user_id,
        name_hmac=None if user_id else name_hmac,
        address=client_ip,
    )


def reset_password(token: str, password: str, client_ip: str) -> None:
    """Set a new password by a link in an email, revoke all sessions, and lift the limits of failed logins.

    Raises:
        InvalidInput: The token cannot be used, or the password violates a rule; then the token stays valid.
        TooManyAttempts: The address has tried too many.
    """
    ticket, user = _find_ticket(TicketKind.RESET, token, client_ip)
    accounts.require_valid_password(password, str(user.username), str(user.email), field="password")
    notice = email_requests.create(user.id, EmailKind.PASSWORD_CHANGED)
    entry = audit.entry(Actor(user.id, Role(user.role), Via.API), Action.PASSWORD_RESET, user.id)

    def extend(transaction: Transaction) -> None:
        ticket.add_use(transaction)
        adding(notice, entry)(transaction)

    try:
        user.change_password(passwords.hash_password(password), extend)
    except ConditionFailed as error:  # used, replaced or made void since it was read
        raise tickets.invalid_token() from error
    audit_log.info("Password reset", event="password.reset", user_id=user.id, address=client_ip)
    email_requests.queue(notice)
    try:
        password_attempts.unlock(user.id)
    except Exception:  # the password is set: the response must say so
        error_log.exception("The limits of failed logins stay", user_id=user.id)


def request_verification(caller: Caller) -> None:
    """Request the email by which the caller verifies the address of their account.

    Raises:
        Conflict: The address is verified already.
        TooManyAttempts: It was requested less than a minute ago, or too often on this day.
        NotAuthenticated: The caller's session was revoked.
    """
    user = accounts.get_profile(caller)
    if user.email_verified:
        raise Conflict("The email address is verified already.")
    email = email_requests.create(user.id, EmailKind.VERIFICATION)
    email_requests.save_within(rate_limits.verifications_of(user.id), email)
    email_requests.queue(email)


def verify_email(token: str, client_ip: str) -> None:
    """Record that the email address of an account is its user's, by a link in an email.

    Raises:
        InvalidInput: The token cannot be used.
        TooManyAttempts: The address has tried too many.
    """
    ticket, user = _find_ticket(TicketKind.VERIFY, token, client_ip)
    try:
        user.verify_email(ticket.add_use)
    except ConditionFailed as error:
        raise tickets.invalid_token() from error
    audit_log.info("Email address verified", event="email.verified", user_id=user.id, address=client_ip)


def _find_ticket(kind: TicketKind, token: str, client_ip: str) -> tuple[Ticket, User]:
    """Return the ticket of a token and its user; of one that cannot be used, count a failed attempt of the address."""
    with password_attempts.ticket_attempt(client_ip) as attempt:
        found = tickets.find_valid(kind, token)
        attempt.succeeded = found is not None
    if found is None:
        audit_log.info("Ticket refused", event="ticket.refused", kind=kind.value, address=client_ip)
        raise tickets.invalid_token()
    return found
