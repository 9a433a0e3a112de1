"""Mail, through SES."""

from dataclasses import dataclass

from chalicelib import aws
from chalicelib.settings import settings


@dataclass(frozen=True)
class Mail:
    """A mail to one person, as text and as HTML."""

    to: str
    subject: str
    text: str
    html: str


def send(mail: Mail) -> str:
    """Hand a mail to SES; its message id there."""

    def part(data: str) -> dict[str, str]:
        return {"Data": data, "Charset": "UTF-8"}

    answer = aws.client("sesv2").send_email(
        FromEmailAddress=settings().mail_from,
        Destination={"ToAddresses": [mail.to]},
        Content={
            "Simple": {
                "Subject": part(mail.subject),
                "Body": {"Text": part(mail.text), "Html": part(mail.html)},
            }
        },
    )
    return str(answer["MessageId"])
