"""The emails that the worker sends: of enrollments and of accounts.

Both kinds of rows record that their email is pending, so that the cleanup can request it again.
"""

from collections.abc import Callable
from datetime import datetime

from chalicelib.adapters import ses
from chalicelib.core import clock
from chalicelib.core.email_kinds import ENROLLMENT_KINDS, PREFERENCE_OF, EmailKind
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.observability import metrics
from chalicelib.observability.logs import event_log
from chalicelib.services import account_emails, enrollment_emails, unsubscription

Compose = Callable[[str], ses.EmailMessage | None]  # with the URL of the unsubscribe link, or an empty one
Found = tuple[User, Compose]  # the recipient

MAX_SEND_SECONDS = ses.MAX_SEND_SECONDS + 5  # with the reads and writes of one email


def find(kind: EmailKind, email_id: str, request_id: str) -> Found | None:
    """Read what the email of a message is about, by one call. Return None if there is no such email or account."""
    if kind in ENROLLMENT_KINDS:
        return enrollment_emails.find(email_id)
    return account_emails.find(kind, email_id, request_id)


def send(kind: EmailKind, email_id: str, found: Found | None) -> None:
    """Send an email that `find` returned, unless it is not to be sent or its recipient has unsubscribed.

    Raises:
        RejectedEmail, ClientError, BotoCoreError: As `ses.send` does.
    """
    if found is None:
        reason = "there is no such email or account"
    elif not unsubscription.wants(found[0], kind):
        reason = "its recipient has unsubscribed"
        metrics.increment("EmailsUnsubscribed")
    elif (message := _compose(kind, *found)) is None:
        reason = "what it is about has changed"
    else:
        message_id = ses.send(message)
        metrics.increment("EmailsSent")
        event_log.info("Email sent", kind=kind.value, email=email_id, message_id=message_id)
        return
    event_log.info("Email skipped", kind=kind.value, email=email_id, reason=reason)


def mark_sent(kind: EmailKind, email_id: str) -> None:
    """Record that the email of a message is not pending any more, unless its row was deleted."""
    if row := _row(kind, email_id):
        row.mark_email_sent()


def mark_failed(kind: EmailKind, email_id: str, error: str, now: datetime) -> None:
    """Record that the email of a message is given up, with SES's error code. Only an operator sends it again."""
    if row := _row(kind, email_id):
        row.mark_email_failed(clock.format_timestamp(now), error)


def is_recorded(kind: EmailKind, email_id: str) -> bool:
    """Return whether the cleanup can find the email of a message if that is deleted.

    All emails are saved before their message is sent, but those to reset a password: the worker saves these.
    """
    return kind is not EmailKind.PASSWORD_RESET or AccountEmail.find_with_user(email_id)[0] is not None


def _compose(kind: EmailKind, recipient: User, compose: Compose) -> ses.EmailMessage | None:
    return compose(unsubscription.unsubscribe_url(recipient, kind) if kind in PREFERENCE_OF else "")


def _row(kind: EmailKind, email_id: str) -> Enrollment | AccountEmail | None:
    """Return the row of an email with its keys alone: it is written without being read. None for a malformed ID."""
    return (Enrollment if kind in ENROLLMENT_KINDS else AccountEmail).with_id(email_id)
