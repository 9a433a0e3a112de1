"""The export of a user's personal data."""

from typing import Self

from pydantic import Field

from chalicelib.core import clock
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.sessions import Session
from chalicelib.models.tickets import Ticket
from chalicelib.models.users import User
from chalicelib.schemas.accounts import UserRead
from chalicelib.schemas.base import Id, Schema, Timestamp
from chalicelib.schemas.courses import CourseRead
from chalicelib.schemas.enrollments import EnrollmentRead
from chalicelib.schemas.lessons import LessonRead
from chalicelib.schemas.notifications import NotificationsRead


class SessionRead(Schema):
    """A session: one login."""

    id: str
    created_at: Timestamp
    expires_at: Timestamp

    @classmethod
    def from_model(cls, session: Session) -> "SessionRead":
        """Return the public fields of a session."""
        return cls(id=session.id, created_at=session.created_at, expires_at=clock.from_unix(session.expires_at))


class KnownAddressRead(Schema):
    """A network from which the user logged in within 30 days: an IPv4 address, or the /64 of an IPv6 address."""

    network: str = Field(examples=["192.0.2.7"])
    expires_at: Timestamp

    @classmethod
    def from_model(cls, address: KnownAddress) -> "KnownAddressRead":
        """Return the fields of a known address."""
        return cls(network=address.network, expires_at=clock.from_unix(address.expires_at))


class TicketRead(Schema):
    """A link in an email that can still be used, without its secret."""

    kind: str = Field(examples=["reset", "verify"])
    email: str = Field(description="The address that it was sent to.")
    expires_at: Timestamp

    @classmethod
    def from_model(cls, ticket: Ticket) -> "TicketRead":
        """Return the fields of a ticket that the export has."""
        return cls(kind=ticket.kind, email=ticket.email, expires_at=clock.from_unix(ticket.expires_at))


class AccountEmailRead(Schema):
    """An email about the account that is not sent yet, or was given up."""

    kind: str = Field(examples=["verification"])
    requested_at: Timestamp
    request_id: str = Field(description="Of the request that caused it; the log lines about the email have it.")
    address: str | None = Field(description="The recipient, or null for the account's current address.")
    email_failed_at: Timestamp | None = Field(description="When the email was given up, or null.")
    email_error: str | None = Field(description="Why it was given up, or null.")

    @classmethod
    def from_model(cls, email: AccountEmail) -> "AccountEmailRead":
        """Return the fields of an email that the export has."""
        return cls.model_validate({name: getattr(email, name) for name in cls.model_fields})


class ExportedEnrollment(EnrollmentRead):
    """An enrollment with the state of its email."""

    request_id: str = Field(description="Of the request that created it; the log lines about its email have it.")
    is_email_pending: bool
    email_failed_at: Timestamp | None = Field(description="When the email was given up, or null.")
    email_error: str | None = Field(description="Why it was given up, or null.")
    waiting_since: Timestamp | None = Field(
        None, exclude_if=lambda since: since is None, description="When the user joined the waitlist, if they waited."
    )


class ExportedWaitlistEntry(Schema):
    """A place in a course that the user waits for."""

    id: Id
    course: Id
    joined_at: Timestamp
    request_id: str = Field(description="Of the request that created it.")

    @classmethod
    def from_model(cls, entry: Enrollment) -> Self:
        """Return the fields of a waiting entry that the export has."""
        return cls(id=entry.id, course=entry.course, joined_at=entry.waiting_since, request_id=entry.request_id)


class ExportQuery(Schema):
    """The parameters of an export."""

    cursor: str | None = Field(None, max_length=2000, description="Opaque cursor from `next`.")


class ExportedUser(UserRead):
    """An account with its email preferences."""

    notifications: NotificationsRead

    @classmethod
    def from_model(cls, user: User) -> Self:
        """Return the fields of a user and their email preferences."""
        fields = UserRead.from_model(user).model_dump()
        return cls.model_validate(fields | {"notifications": user.email_preferences})


class ExportRead(Schema):
    """All personal data of the caller, or one page of it."""

    user: ExportedUser
    sessions: list[SessionRead]
    known_addresses: list[KnownAddressRead]
    tickets: list[TicketRead]
    account_emails: list[AccountEmailRead]
    courses: list[CourseRead]
    lessons: list[LessonRead]
    enrollments: list[ExportedEnrollment]
    waitlist: list[ExportedWaitlistEntry]
    next: str | None = Field(description="URL of the next page if the data exceeds one response, else null.")
