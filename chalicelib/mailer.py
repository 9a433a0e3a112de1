"""Mail, through SES."""

import random
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.settings import settings

READ_SECONDS = 10
PATIENCE_SECONDS = 8
LONGEST_SECONDS = PATIENCE_SECONDS + aws.CONNECT_SECONDS + READ_SECONDS
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Mail:
    """A mail to one person, as text and as HTML."""

    to: str
    subject: str
    text: str
    html: str


def send(mail: Mail) -> str:
    """Hand a mail to SES; its message id there.

    What SES says no to for a moment, above all when it is asked too often, is tried again for
    PATIENCE_SECONDS. What it gave no answer to is not: it may have taken the mail.

    Raises ClientError when SES refuses it, BotoCoreError when it gives no answer.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    for attempt in count():
        try:
            return str(_client().send_email(**_request(mail))["MessageId"])
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            wait = random.uniform(0, min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**attempt))
            if not (status == 429 or status >= 500) or time.monotonic() + wait > end:
                raise
            time.sleep(wait)
    raise AssertionError("the attempts end with an exception")


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
