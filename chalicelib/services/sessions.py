"""Sessions: started by a login, continued by rotating refresh tokens, revoked by logout or reuse of a token."""

import time
import uuid
from dataclasses import dataclass

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotAuthenticated
from chalicelib.models.identities import Identity
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.security import passwords, tokens
from chalicelib.security.tokens import TokenType
from chalicelib.services import login_throttling

_UNKNOWN_USER_ID = "#unknown"  # not a valid ID: looked up for an unknown user, so that both take the same time


@dataclass(frozen=True)
class TokenPair:
    """The tokens of a session."""

    access: str
    refresh: str
    refresh_id: str


def login(name: str, password: str, client_ip: str) -> TokenPair:
    """Start a session by username or email address.

    Raises:
        NotAuthenticated: The user is unknown or deactivated, or the password is wrong. Detail and duration are the
            same for all of these.
        TooManyAttempts: Too many attempts failed.
    """
    user_id = Identity.find_user_id(name)
    with login_throttling.password_attempt(user_id=user_id, name=name, address=client_ip) as attempt:
        user = User.find(user_id or _UNKNOWN_USER_ID)
        is_correct = passwords.verify_password(password, user.password_hash if user else None)
        if user and is_correct and user.is_active:
            pair = _start(user)
            attempt.succeeded = True
    if not (user and attempt.succeeded):
        raise NotAuthenticated("Invalid credentials.")
    if passwords.needs_rehash(str(user.password_hash)):
        user.rehash_password(passwords.hash_password(password))
    return pair


def require_active_session(caller: Caller) -> User:
    """Return the user of an access token, unless the session was revoked: some effects must not wait for its expiry.

    Raises:
        NotAuthenticated: The session was revoked.
    """
    user = User.find(caller.id)
    session = Session.find(caller.id, caller.session_id)
    if user is None or session is None or not _is_valid(user, session):
        raise NotAuthenticated("The session was revoked.")
    return user


def refresh(token: str) -> TokenPair:
    """Rotate a refresh token. Reuse of a rotated token revokes the session (RFC 9700 §4.14).

    Raises:
        NotAuthenticated: The token is invalid or was used before.
    """
    claims = _verify_refresh_token(token)
    session = Session.find(claims.user_id, claims.session_id)
    user = User.find(claims.user_id)
    if session is None or user is None or not _is_valid(user, session):
        raise _invalid_refresh_token()
    pair = _issue(user, session.id)
    if not session.rotate(used=claims.token_id, new=pair.refresh_id, expires_at=_expiry()):
        session.delete()
        raise _invalid_refresh_token()
    return pair


def logout(token: str) -> None:
    """Revoke the session of a refresh token.

    Raises:
        NotAuthenticated: The token is invalid.
    """
    claims = _verify_refresh_token(token)
    Session(claims.user_id, claims.session_id).delete()


def _start(user: User) -> TokenPair:
    session_id = str(uuid.uuid4())
    pair = _issue(user, session_id)
    Session(
        user.id,
        session_id,
        refresh_id=pair.refresh_id,
        auth_version=user.auth_version,
        created_at=clock.timestamp(),
        expires_at=_expiry(),
    ).save()
    return pair


def _is_valid(user: User, session: Session) -> bool:
    return user.is_active and user.auth_version == session.auth_version


def _issue(user: User, session_id: str) -> TokenPair:
    now = clock.now()

    def issue(token_type: TokenType) -> tuple[str, str]:
        return tokens.issue(
            token_type, user_id=user.id, username=str(user.username), role=user.role, session_id=session_id, now=now
        )

    access, _ = issue(TokenType.ACCESS)
    return TokenPair(access, *issue(TokenType.REFRESH))


def _verify_refresh_token(token: str) -> tokens.Claims:
    try:
        return tokens.verify(token, TokenType.REFRESH)
    except tokens.InvalidToken as error:
        raise _invalid_refresh_token() from error


def _invalid_refresh_token() -> NotAuthenticated:
    return NotAuthenticated("The refresh token is invalid or was used before.")


def _expiry() -> int:
    return int(time.time()) + tokens.LIFETIME_SECONDS[TokenType.REFRESH]
