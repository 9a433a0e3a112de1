"""Requests for emails about accounts: a row in the transaction of what the email is about, then a message."""

import time
from collections.abc import Sequence

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.base import ConditionFailed, Transaction
from chalicelib.models.throttles import Quota, Throttle
from chalicelib.observability import logs
from chalicelib.services import rate_limits


def create(user_id: str, kind: EmailKind, *, email_id: str = "", address: str | None = None) -> AccountEmail:
    """Return an email that the current request causes, not yet saved; ``address`` if not to the user's current one."""
    return AccountEmail.new(user_id, kind, clock.timestamp(), logs.request_id.get(), email_id=email_id, address=address)


def save_within(quotas: Sequence[Quota], email: AccountEmail) -> None:
    """Save an email and count it, in one transaction.

    Raises:
        TooManyAttempts: A quota is used up.
        ConditionFailed: The email was saved before. It is not counted again.
    """
    while True:
        transaction = Transaction()
        for quota in quotas:
            Throttle.add_reservation(transaction, quota, int(time.time()))
        email.add_to(transaction)
        try:
            transaction.run()
            return
        except ConditionFailed as error:
            if AccountEmail in error.failed:
                raise
            for quota in quotas:
                rate_limits.require_left(quota, "The email was requested too often. Retry later.")


def queue(email: AccountEmail) -> None:
    """Request that a saved email is sent now. If SQS does not accept that, the cleanup does it later."""
    sqs.send(sqs.EMAILS, sqs.email_message(email.email_kind, email.id, email.request_id))
