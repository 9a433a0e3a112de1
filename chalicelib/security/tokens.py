"""Access and refresh tokens: JWTs (RFC 7519) under RFC 8725, made and checked here only."""

import re
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.core.config import PROJECT, settings
from chalicelib.core.roles import Role
from chalicelib.security.signing_keys import MAX_SIGNED_SECONDS, signing_keys

ACCESS = "access"
REFRESH = "refresh"
LIFETIME_SECONDS = {ACCESS: 30 * 60, REFRESH: MAX_SIGNED_SECONDS}
MAX_LENGTH = 4096

_ALGORITHM = "HS256"
_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)  # RFC 7515 §3.1, and one spelling only: no padding
_REQUIRED = ["iss", "aud", "sub", "jti", "iat", "exp", "typ", "sid", "role", "username"]


class BadToken(Exception):
    """The token is not one of ours, not of this kind, not for this stage, or past its time."""


@dataclass(frozen=True)
class Claims:
    """What a good token says."""

    user_id: str
    username: str
    role: Role
    session_id: str
    token_id: str
    expires_at: int
    """Unix seconds."""


def issue(kind: str, *, user_id: str, username: str, role: str, session_id: str, now: datetime) -> tuple[str, str]:
    """A new token of a kind (ACCESS or REFRESH), and its id."""
    import jwt

    issued_at = int(now.timestamp())
    key_id, key = signing_keys().signing(issued_at)
    token_id = str(uuid.uuid4())
    claims = {
        "iss": PROJECT,
        "aud": _audience(),
        "sub": user_id,
        "jti": token_id,
        "iat": issued_at,
        "exp": issued_at + LIFETIME_SECONDS[kind],
        "typ": kind,
        "sid": session_id,
        "role": role,
        "username": username,
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": key_id}), token_id


def verify(token: str, kind: str) -> Claims:
    """What the token says.

    Raises BadToken.
    """
    import jwt

    if len(token) > MAX_LENGTH or not _FORM.fullmatch(token):
        raise BadToken("not of the form of a token")
    try:
        claims = jwt.decode(
            token,
            _key_of(jwt.get_unverified_header(token)),
            algorithms=[_ALGORITHM],
            issuer=PROJECT,
            audience=_audience(),
            options={"require": _REQUIRED, "enforce_minimum_key_length": True},
        )
        if claims["typ"] != kind:
            raise BadToken(f"not a token of the kind {kind}")
        return Claims(
            user_id=str(claims["sub"]),
            username=str(claims["username"]),
            role=Role(claims["role"]),
            session_id=str(claims["sid"]),
            token_id=str(claims["jti"]),
            expires_at=int(claims["exp"]),
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise BadToken(str(error)) from error


def of_header(authorization: str) -> str:
    """The token in an Authorization header (RFC 6750 §2.1).

    Raises BadToken when the header is of another form.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise BadToken("not of the form: Bearer <token>")
    return token.strip()


def _key_of(header: dict[str, Any]) -> str:
    kid = header.get("kid")
    key = signing_keys().trusted(time.time()).get(kid) if isinstance(kid, str) else None
    if key is None:
        raise BadToken("unknown key id")
    return key


def _audience() -> str:
    return f"{PROJECT}-{settings().stage}"
