"""Accounts: registration, login, profile."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chalicelib.models.users import User
from chalicelib.roles import Role
from chalicelib.schemas.base import Id, Schema, Timestamp

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


class TokensOut(Schema):
    """A session's tokens."""

    access: str = Field(description="For 30 minutes, in the Authorization header.")
    refresh: str = Field(description="For 7 days and one use, at /auth/refresh/.")


class UserOut(Schema):
    """An account."""

    id: Id
    username: str
    email: str
    role: Role
    date_joined: Timestamp

    @classmethod
    def of(cls, user: User) -> "UserOut":
        """What the API shows of a user."""
        return cls(
            id=user.id, username=user.username, email=user.email, role=Role(user.role), date_joined=user.date_joined
        )
