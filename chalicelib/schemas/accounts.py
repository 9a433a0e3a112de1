"""Accounts: registration, sessions, profile, and what is held about somebody."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.schemas.base import Changes, Flag, Id, ListOut, PageQuery, Schema, Timestamp
from chalicelib.schemas.courses import CourseOut
from chalicelib.schemas.enrollments import EnrollmentOut
from chalicelib.schemas.lessons import LessonOut
from chalicelib.services.exports import Part

# The HTML standard's pattern, with a dot required in the domain
# (https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address).
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+$"

Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=_EMAIL),
    Field(examples=["ada@example.org"]),
]
Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{3,150}$"), Field(examples=["ada"])]
Password = Annotated[
    str, Field(max_length=4096, json_schema_extra={"format": "password"}, examples=["correct horse battery"])
]


class RegisterIn(Schema):
    """A new account."""

    username: Username
    email: Email
    password: Password
    role: Literal["student", "instructor"] = "student"


class LoginIn(Schema):
    """Credentials."""

    username: str = Field(max_length=254, description="The username, or the email address.", examples=["ada"])
    password: Password


class RefreshIn(Schema):
    """A refresh token."""

    refresh: str = Field(max_length=4096)


class TokensOut(Schema):
    """A session's tokens."""

    access: str = Field(description="For 30 minutes, in the Authorization header.")
    refresh: str = Field(description="For 7 days and one use, at /auth/refresh/.")


class PasswordIn(Schema):
    """A change of password."""

    current: Password
    new: Password


class ProfileIn(Changes):
    """What an account's owner may change."""

    email: Email = ""


class UserIn(Changes):
    """What an admin may change."""

    email: Email = ""
    role: Role = Role.STUDENT
    is_active: Flag = True


class ProfileOut(Schema):
    """The caller's own account."""

    id: Id
    username: str
    email: str
    role: Role
    date_joined: Timestamp

    @classmethod
    def of(cls, user: User) -> "ProfileOut":
        """What the API shows a user of themselves."""
        return cls(
            id=user.id,
            username=str(user.username),
            email=str(user.email),
            role=Role(user.role),
            date_joined=user.date_joined,
        )


class UserOut(ProfileOut):
    """An account, as admins see it."""

    is_active: bool

    @classmethod
    def of(cls, user: User) -> "UserOut":
        """What the API shows an admin of a user."""
        return cls(**ProfileOut.of(user).model_dump(), is_active=user.is_active)


class UserList(ListOut[UserOut]):
    """A page of users."""


class UserQuery(PageQuery):
    """The parameters of the list of users."""


class SessionOut(Schema):
    """A session: one login."""

    id: str
    created_at: Timestamp

    @classmethod
    def of(cls, session: Session) -> "SessionOut":
        """What the API shows of a session."""
        return cls(id=session.id, created_at=session.created_at)


class ExportQuery(Schema):
    """Where an export goes on."""

    cursor: str | None = Field(None, max_length=2000, description="From `next`; opaque.")


class ExportOut(Schema):
    """All that is held about the caller, or a part of it."""

    user: UserOut
    sessions: list[SessionOut]
    courses: list[CourseOut]
    lessons: list[LessonOut]
    enrollments: list[EnrollmentOut]
    next: str | None = Field(description="URL of the rest, if it is too much for one answer; nearly always null.")

    @classmethod
    def of(cls, part: Part, rest: str | None) -> "ExportOut":
        """What the API shows of a part, and where the rest is."""
        return cls(
            user=UserOut.of(part.user),
            sessions=[SessionOut.of(session) for session in part.every(Session)],
            courses=[CourseOut.of(course) for course in part.every(Course)],
            lessons=[LessonOut.of(lesson) for lesson in part.every(Lesson)],
            enrollments=[EnrollmentOut.of(enrollment) for enrollment in part.every(Enrollment)],
            next=rest,
        )
