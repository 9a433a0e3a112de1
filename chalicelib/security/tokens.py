"""Access and refresh tokens: JWTs (RFC 7519), issued and verified by the rules of RFC 8725."""

import base64
import json
import re
import time
from enum import StrEnum
from typing import Any, NamedTuple

from chalicelib.core.config import PROJECT, settings
from chalicelib.core.roles import Role
from chalicelib.security.signing_keys import MAX_TOKEN_LIFETIME_SECONDS, signing_keys


class TokenType(StrEnum):
    """The types of tokens; the claim ``typ``."""

    ACCESS = "access"
    REFRESH = "refresh"


LIFETIME_SECONDS = {TokenType.ACCESS: 30 * 60, TokenType.REFRESH: MAX_TOKEN_LIFETIME_SECONDS}
MAX_LENGTH = 4096

_ALGORITHM = "HS256"
_COMPACT_JWS = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)  # RFC 7515 §3.1, and one spelling only: no padding
# How far the clock of the function that issued a token may be ahead (RFC 7519 §4.1.5). It adds nothing to the lifetime.
_CLOCK_SKEW_SECONDS = 5
_REQUIRED_CLAIMS = ["iss", "aud", "sub", "jti", "iat", "exp", "typ", "sid", "role", "username"]


class InvalidToken(Exception):
    """The token is malformed, expired, of another type or stage, or was not signed by a trusted key."""


class Claims(NamedTuple):
    """The claims of a valid token."""

    user_id: str
    username: str
    role: Role
    session_id: str
    token_id: str
    expires_at: int  # Unix seconds


def issue(
    token_type: TokenType, *, token_id: str, user_id: str, username: str, role: str, session_id: str, issued_at: int
) -> str:
    """Return a signed token. The same arguments give the same token. ``issued_at`` is in Unix seconds."""
    jwt = _jwt()

    key_id, key = signing_keys().active_key(issued_at)
    claims = {
        "iss": PROJECT,
        "aud": _audience(),
        "sub": user_id,
        "jti": token_id,
        "iat": issued_at,
        "exp": issued_at + LIFETIME_SECONDS[token_type],
        "typ": token_type,
        "sid": session_id,
        "role": role,
        "username": username,
    }
    return str(jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": key_id}))


def verify(token: str, token_type: TokenType) -> Claims:
    """Return the claims of a valid token.

    Raises:
        InvalidToken: The token is not valid as a token of this type.
    """
    jwt = _jwt()

    if len(token) > MAX_LENGTH or not _COMPACT_JWS.fullmatch(token):
        raise InvalidToken("malformed token")
    try:
        claims = jwt.decode(
            token,
            _resolve_key(_key_id(token)),
            algorithms=[_ALGORITHM],
            issuer=PROJECT,
            audience=_audience(),
            options={"require": _REQUIRED_CLAIMS, "enforce_minimum_key_length": True},
            leeway=_CLOCK_SKEW_SECONDS,
        )
        if claims["exp"] <= time.time():
            raise InvalidToken("Signature has expired")
        if claims["typ"] != token_type:
            raise InvalidToken(f"not a token of the type {token_type}")
        return Claims(
            user_id=str(claims["sub"]),
            username=str(claims["username"]),
            role=Role(claims["role"]),
            session_id=str(claims["sid"]),
            token_id=str(claims["jti"]),
            expires_at=int(claims["exp"]),
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise InvalidToken(str(error)) from error


def parse_bearer_header(authorization: str) -> str:
    """Return the token of an Authorization header (RFC 6750 §2.1).

    Raises:
        InvalidToken: The header has another form.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidToken("the Authorization header is not `Bearer <token>`")
    return token.strip()


def prepare() -> None:
    """Load the library that reads and signs tokens."""
    _jwt()


def _jwt() -> Any:
    import jwt  # late, for short cold starts: the workers import this module and need no token

    return jwt


def _key_id(token: str) -> object:
    """Return the key ID in the header of a token. PyJWT would decode the whole token to read it, and again to verify.

    Raises:
        InvalidToken: The header is malformed.
    """
    try:
        header = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
    except (ValueError, RecursionError) as error:
        raise InvalidToken("malformed header") from error
    return header.get("kid") if isinstance(header, dict) else None


def _resolve_key(key_id: object) -> str:
    key = signing_keys().verification_keys(time.time()).get(key_id) if isinstance(key_id, str) else None
    if key is None:
        raise InvalidToken("unknown key ID")
    return key


def _audience() -> str:
    return f"{PROJECT}-{settings().stage}"
