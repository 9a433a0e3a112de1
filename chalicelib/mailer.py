"""Mail, through SES."""

import random
import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.settings import settings

ATTEMPTS = 3
READ_SECONDS = 10
LONGEST_SECONDS = aws.CONNECT_SECONDS + READ_SECONDS + 1
_FIRST_WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Mail:
    """A mail to one person, as text and as HTML."""

    to: str
    subject: str
    text: str
    html: str


def send(mail: Mail) -> str:
    """Hand a mail to SES; its message id there.

    What SES says no to for a moment is tried again at once. What it gave no answer to is not: it may
    have taken the mail.

    Raises ClientError when SES refuses it, BotoCoreError when it gives no answer.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return str(_client().send_email(**_request(mail))["MessageId"])
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if attempt == ATTEMPTS or not (status == 429 or status >= 500):
                raise
            time.sleep(random.uniform(0, _FIRST_WAIT_SECONDS * 2**attempt))
    raise AssertionError("the last attempt returns or raises")


def _client() -> Any:
    return aws.client("sesv2", read_seconds=READ_SECONDS, attempts=1)


def _request(mail: Mail) -> dict[str, Any]:
    def part(data: str) -> dict[str, str]:
        return {"Data": data, "Charset": "UTF-8"}

    sender = settings().mail_from
    # RFC 2369: how to have no more of them, shown by mail programs beside the sender's name.
    unsubscribe = {"Name": "List-Unsubscribe", "Value": f"<mailto:{sender}?subject=unsubscribe>"}
    return {
        "FromEmailAddress": sender,
        "Destination": {"ToAddresses": [mail.to]},
        "Content": {
            "Simple": {
                "Subject": part(mail.subject),
                "Body": {"Text": part(mail.text), "Html": part(mail.html)},
                "Headers": [unsubscribe],
            }
        },
    }
