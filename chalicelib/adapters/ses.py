"""Email through Amazon SES.

SendRawEmail of the SES API v1 is the one call that carries a List-Unsubscribe header and exists on AWS and in every
local AWS (https://docs.aws.amazon.com/ses/latest/APIReference/API_SendRawEmail.html).
"""

import random
import time
from email.message import EmailMessage as MimeMessage
from email.policy import SMTP
from itertools import count
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from chalicelib.adapters import aws
from chalicelib.core.config import settings
from chalicelib.core.retry_policy import SEND_RETRY_BUDGET_SECONDS

READ_TIMEOUT_SECONDS = 10
MAX_SEND_SECONDS = SEND_RETRY_BUDGET_SECONDS + aws.CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
_BACKOFF_BASE_SECONDS = 0.2
_BACKOFF_CAP_SECONDS = 2.0
# SES answers 400 with these codes when a send rate or a daily quota is exceeded
# (https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html).
_THROTTLING_CODES = {"Throttling", "ThrottlingException"}


# And with these, it rejects this email. It accepts others.
_REJECTION_CODES = {"MessageRejected", "InvalidParameterValue"}
# A MessageRejected with this text is about the account: its sender, or a recipient while it is in the SES sandbox.
_NOT_VERIFIED = "not verified"


class RejectedEmail(Exception):
    """SES rejects this email whenever it is sent; ``code`` is its error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EmailMessage(NamedTuple):
    """An email to one recipient, as text and as HTML. ``unsubscribe_url`` is empty if they cannot stop such emails."""

    to: str
    subject: str
    text: str
    html: str
    unsubscribe_url: str = ""


def send(email: EmailMessage) -> str:
    """Send an email and return its SES message ID.

    Throttling and server errors are retried for SEND_RETRY_BUDGET_SECONDS. A call without a response is not retried,
    because SES may have accepted the email.

    Raises:
        RejectedEmail: SES rejects this email.
        ClientError: SES accepts no email at present.
        BotoCoreError: SES did not respond.
    """
    end = time.monotonic() + SEND_RETRY_BUDGET_SECONDS
    raw = message_bytes(email, settings().mail_from)
    for attempt in count():
        try:
            response = _client().send_raw_email(
                Source=settings().mail_from, Destinations=[email.to], RawMessage={"Data": raw}
            )
            return str(response["MessageId"])
        except ClientError as error:
            if _is_rejection(error):
                raise RejectedEmail(error.response["Error"]["Code"], str(error)) from error
            wait = random.uniform(0, min(_BACKOFF_CAP_SECONDS, _BACKOFF_BASE_SECONDS * 2**attempt))
            if not _is_transient(error) or time.monotonic() + wait > end:
                raise
            time.sleep(wait)
    raise AssertionError("the loop ends with a return or an exception")


def message_bytes(email: EmailMessage, sender: str) -> bytes:
    """Return an email as a MIME message (RFC 5322, RFC 2045) with a text and an HTML part."""
    message = MimeMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = email.to
    message["Subject"] = email.subject
    message.set_content(email.text)
    message.add_alternative(email.html, subtype="html")
    return _unsubscribe_headers(email.unsubscribe_url, sender) + message.as_bytes()


def _unsubscribe_headers(url: str, sender: str) -> bytes:
    """Return the headers by which email programs offer to unsubscribe (RFC 2369), with one click (RFC 8058 §3.1).

    As bytes, each on one line: the standard library would encode a URL that is longer than a line, which breaks it.
    """
    if not url:
        return b""
    lines = (
        f"List-Unsubscribe: <{url}>, <mailto:{sender}?subject=unsubscribe>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _is_rejection(error: ClientError) -> bool:
    reason = error.response["Error"]
    return reason["Code"] in _REJECTION_CODES and _NOT_VERIFIED not in reason.get("Message", "")


def _is_transient(error: ClientError) -> bool:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status == 429 or status >= 500 or error.response["Error"]["Code"] in _THROTTLING_CODES


def _client() -> Any:
    return aws.client("ses", read_timeout=READ_TIMEOUT_SECONDS, max_attempts=1)
