"""Accounts: registration, sessions and profiles."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from chalicelib.core.roles import Role
from chalicelib.models.users import User
from chalicelib.schemas.base import Id, PageQuery, PageRead, Patch, Schema, Timestamp

# A dot-atom (RFC 5322 §3.2.3) of at most 64 characters (RFC 5321 §4.5.3.1.1) at a domain whose last label begins with a
# letter, as all top-level domains do: not an IP address.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP_LEVEL = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])"
_EMAIL = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP_LEVEL}$"
_MAX_LOCAL_PART = 64


def _check_local_part(email: str) -> str:
    if len(email.partition("@")[0]) > _MAX_LOCAL_PART:
        raise ValueError(f"Input should have at most {_MAX_LOCAL_PART} characters before the @")
    return email


Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=_EMAIL),
    AfterValidator(_check_local_part),
    Field(examples=["ada@example.org"]),
]
Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{3,150}$"), Field(examples=["ada"])]
Password = Annotated[
    str, Field(max_length=4096, json_schema_extra={"format": "password"}, examples=["correct horse battery"])
]
Token = Annotated[str, Field(max_length=200, description="From the link in the email.")]


class RegisterRequest(Schema):
    """A new account."""

    username: Username
    email: Email
    password: Password
    role: Literal["student", "instructor"] = "student"


class LoginRequest(Schema):
    """Credentials."""

    username: str = Field(max_length=254, description="The username or the email address.", examples=["ada"])
    password: Password


class RefreshRequest(Schema):
    """A refresh token."""

    refresh: str = Field(max_length=4096)


class TokenPairRead(Schema):
    """The tokens of a session."""

    access: str = Field(description="For the Authorization header. Valid for 30 minutes.")
    refresh: str = Field(description="For one use at /auth/refresh/. Valid for 7 days.")


class PasswordResetRequest(Schema):
    """The account whose password is forgotten."""

    username: str = Field(max_length=254, description="The username or the email address.", examples=["ada"])


class PasswordReset(Schema):
    """A new password, and the token of the link in the email."""

    token: Token
    password: Password


class EmailVerification(Schema):
    """The token of the link in the email."""

    token: Token


class Accepted(Schema):
    """The request was accepted. An email follows."""


class PasswordChange(Schema):
    """The current and the new password."""

    current: Password
    new: Password


class ProfilePatch(Patch):
    """The fields that users can change of their own account."""

    email: Email = ""


class UserPatch(Patch):
    """The fields that admins can change of an account."""

    email: Email = ""
    role: Role = Role.STUDENT
    is_active: StrictBool = True


class ProfileRead(Schema):
    """The caller's account."""

    id: Id
    username: str
    email: str
    email_verified: bool = Field(description="Whether the user confirmed the address by a link in an email.")
    role: Role
    date_joined: Timestamp

    @classmethod
    def from_model(cls, user: User) -> Self:
        """Return the fields of a user that this schema exposes."""
        return cls.model_validate({name: getattr(user, name) for name in cls.model_fields})


class UserRead(ProfileRead):
    """An account, for admins."""

    is_active: bool


class UserList(PageRead):
    """A page of users."""

    results: list[UserRead]


class UserQuery(PageQuery):
    """The parameters of the list of users."""
