"""Emails that were given up, and addresses that SES does not send to."""

from collections.abc import Iterator
from typing import Any

from chalicelib.adapters import aws, sqs
from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.enrollments import Enrollment


def failed() -> Iterator[dict[str, Any]]:
    """Return the emails that SES rejected, with its error code."""
    for row in _failed():
        yield {
            "kind": row.email_kind,
            "id": row.id,
            "user": row.recipient_id,
            "failed_at": row.email_failed_at,
            "error": row.email_error,
        }


def retry() -> Iterator[int]:
    """Queue these emails once more, and yield the number so far. No link that resets a password is sent that late."""
    rows = (row for row in _failed() if row.email_kind != EmailKind.PASSWORD_RESET)
    messages = (sqs.email_message(row.email_kind, row.id, "-") for row in rows)
    number = 0
    for accepted in sqs.send_batches(sqs.EMAILS, messages):
        number += len(accepted)
        yield number


def _failed() -> Iterator[Enrollment | AccountEmail]:
    yield from AccountEmail.failed_emails()
    yield from Enrollment.failed_emails()


def suppressed() -> Iterator[dict[str, Any]]:
    """Return the addresses to which SES sends nothing after a hard bounce or a complaint.

    SES accepts emails to them and counts them as bounces
    (https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html).
    """
    client = aws.client("sesv2")
    page: dict[str, Any] = {}
    while True:
        page = client.list_suppressed_destinations(**({"NextToken": page["NextToken"]} if page else {}))
        for one in page["SuppressedDestinationSummaries"]:
            yield {"address": one["EmailAddress"], "reason": one["Reason"], "since": one["LastUpdateTime"].isoformat()}
        if not page.get("NextToken"):
            return
