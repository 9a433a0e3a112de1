"""The mailbox of all users: what SES was asked to send."""

import re

from chalicelib.adapters.ses import EmailMessage

_TOKEN = re.compile(r"#(reset|verify)=([0-9a-z]+)")


class Mailbox:
    """The emails that were sent, and errors that sending raises."""

    def __init__(self) -> None:
        self.emails: list[EmailMessage] = []
        self.errors: list[Exception] = []

    def send(self, email: EmailMessage) -> str:
        """Store an email, as `ses.send` sends it."""
        if self.errors:
            raise self.errors.pop(0)
        self.emails.append(email)
        return "message-id"

    def to(self, address: str) -> list[EmailMessage]:
        """Return the emails to an address."""
        return [email for email in self.emails if email.to == address]

    def tokens(self, kind: str) -> list[str]:
        """Return the tokens in the emails, in their order."""
        found = [_TOKEN.search(email.text) for email in self.emails]
        return [match[2] for match in found if match and match[1] == kind]
