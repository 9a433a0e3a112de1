"""Email through Amazon SES.

SendRawEmail of the SES API v1: the one call that carries a List-Unsubscribe header and exists on AWS and in every
local AWS (https://docs.aws.amazon.com/ses/latest/APIReference/API_SendRawEmail.html).
"""

import random
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.adapters import aws
from chalicelib.core.config import settings

READ_SECONDS = 10
PATIENCE_SECONDS = 8
LONGEST_SECONDS = PATIENCE_SECONDS + aws.CONNECT_SECONDS + READ_SECONDS
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 2.0
# SES answers 400 with this code when a send rate or a daily quota is exceeded
# (https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html).
_THROTTLING_CODES = {"Throttling", "ThrottlingException"}


@dataclass(frozen=True)
class Mail:
    """An email to one person, as text and as HTML."""

    to: str
    subject: str
    text: str
    html: str


def send(mail: Mail) -> str:
    """Send an email and return its SES message ID.

    Throttling and server errors are retried for PATIENCE_SECONDS. A call without a response is not retried,
    because SES may have accepted the email.

    Raises ClientError when SES refuses it, BotoCoreError when it does not respond.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    raw = message_bytes(mail, settings().mail_from)
    for attempt in count():
        try:
            sent = _client().send_raw_email(
                Source=settings().mail_from, Destinations=[mail.to], RawMessage={"Data": raw}
            )
            return str(sent["MessageId"])
        except ClientError as error:
            wait = random.uniform(0, min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**attempt))
            if not _is_transient(error) or time.monotonic() + wait > end:
                raise
            time.sleep(wait)
    raise AssertionError("the attempts end with an exception")


def message_bytes(mail: Mail, sender: str) -> bytes:
    """Return an email as a MIME message (RFC 5322, RFC 2045) with a text and an HTML part."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    # RFC 2369: mail programs show it next to the sender's name.
    message["List-Unsubscribe"] = f"<mailto:{sender}?subject=unsubscribe>"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message.as_bytes()


def _is_transient(error: ClientError) -> bool:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status == 429 or status >= 500 or error.response["Error"]["Code"] in _THROTTLING_CODES


def _client() -> Any:
    return aws.client("ses", read_seconds=READ_SECONDS, attempts=1)
