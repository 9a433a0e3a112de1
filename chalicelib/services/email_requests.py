"""Requests for emails about accounts: a row in the transaction of what the email is about, then a message."""

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.account_emails import AccountEmail
from chalicelib.observability import logs


def create(user_id: str, kind: EmailKind, *, email_id: str = "", address: str | None = None) -> AccountEmail:
    """Return an email that the current request causes, not yet saved; ``address`` if not to the user's current one."""
    return AccountEmail.new(user_id, kind, clock.timestamp(), logs.request_id.get(), email_id=email_id, address=address)


def queue(email: AccountEmail) -> None:
    """Request that a saved email is sent now. If SQS does not accept that, the cleanup does it later."""
    sqs.send(sqs.EMAILS, sqs.email_message(email.email_kind, email.id, email.request_id))
