"""The emails that the worker sends: of enrollments and of accounts.

Both kinds of rows record that their email is pending, so that the cleanup can request it again.
"""

from datetime import datetime

from chalicelib.adapters import ses
from chalicelib.core import clock
from chalicelib.core.email_kinds import PREFERENCE_OF, EmailKind
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.observability import metrics
from chalicelib.observability.logs import event_log
from chalicelib.services import account_emails, enrollment_emails, unsubscription

MAX_SEND_SECONDS = ses.MAX_SEND_SECONDS + 5  # with the reads and writes of one email


def send(kind: EmailKind, email_id: str, request_id: str) -> None:
    """Send the email of a message, unless there is no reason for it any more or its recipient has unsubscribed.

    Raises:
        RejectedEmail, ClientError, BotoCoreError: As `ses.send` does.
    """
    row = _find_to_send(kind, email_id, request_id)
    user = User.find(row.recipient_id) if row else None
    if row is None or user is None:
        reason = "there is no such email or account"
    elif not unsubscription.wants(user, kind):
        reason = "its recipient has unsubscribed"
        metrics.increment("EmailsUnsubscribed")
    elif (message := _compose(row, user)) is None:
        reason = "what it is about has changed"
    else:
        message_id = ses.send(message)
        metrics.increment("EmailsSent")
        event_log.info("Email sent", kind=kind.value, email=email_id, message_id=message_id)
        return
    event_log.info("Email skipped", kind=kind.value, email=email_id, reason=reason)


def mark_sent(kind: EmailKind, email_id: str) -> None:
    """Record that the email of a message is not pending any more, unless that is recorded or its row was deleted."""
    row = _find(kind, email_id)
    if row is not None and (row.email_pending or row.email_failed_at):
        row.mark_email_sent()


def mark_failed(kind: EmailKind, email_id: str, error: str, now: datetime) -> None:
    """Record that the email of a message is given up, with SES's error code. Only an operator sends it again."""
    row = _find(kind, email_id)
    if row is not None and row.email_pending:
        row.mark_email_failed(clock.format_timestamp(now), error)


def is_recorded(kind: EmailKind, email_id: str) -> bool:
    """Return whether the cleanup can find the email of a message if that is deleted.

    All emails are saved before their message is sent, but those to reset a password: the worker saves these.
    """
    return kind is not EmailKind.PASSWORD_RESET or AccountEmail.find(email_id) is not None


def _find_to_send(kind: EmailKind, email_id: str, request_id: str) -> Enrollment | AccountEmail | None:
    if kind is EmailKind.ENROLLMENT:
        return Enrollment.find(email_id)
    return account_emails.find(kind, email_id, request_id)


def _compose(row: Enrollment | AccountEmail, user: User) -> ses.EmailMessage | None:
    unsubscribe_url = unsubscription.unsubscribe_url(user, row.email_kind) if row.email_kind in PREFERENCE_OF else ""
    if isinstance(row, Enrollment):
        return enrollment_emails.compose(row, user, unsubscribe_url)
    return account_emails.compose(row, user, unsubscribe_url)


def _find(kind: EmailKind, email_id: str) -> Enrollment | AccountEmail | None:
    return Enrollment.find(email_id) if kind is EmailKind.ENROLLMENT else AccountEmail.find(email_id)
