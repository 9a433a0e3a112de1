"""Email preferences and unsubscribe links."""

from pydantic import Field, StrictBool

from chalicelib.core.unsubscribe_tokens import PATTERN
from chalicelib.schemas.base import Patch, Schema


class NotificationsRead(Schema):
    """The emails that a user wants. Emails about the account itself are always sent."""

    enrollment: bool = Field(description="Confirmations of enrollments.")
    waitlist: bool = Field(description="Places on waiting lists.")
    completion: bool = Field(description="Completed courses.")
    reports: bool = Field(description="Daily reports. Only admins receive these.")


class NotificationsPatch(Patch):
    """The preferences to change. All of them are true at first, and only the user changes them."""

    enrollment: StrictBool = True
    waitlist: StrictBool = True
    completion: StrictBool = True
    reports: StrictBool = True


class UnsubscribeQuery(Schema):
    """The parameter of the links in emails."""

    token: str = Field(
        description="The token from the email.",
        json_schema_extra={"pattern": PATTERN},  # the service checks it
        examples=["4wqf9t0bz3m7kx2e0123456789abcdefghjkmnpqrsenrollment"],
    )
