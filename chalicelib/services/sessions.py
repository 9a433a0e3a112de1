"""Sessions: started by a login, continued by rotating refresh tokens, revoked by logout or reuse of a token."""

import time
import uuid
from functools import partial
from typing import NamedTuple

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotAuthenticated, TooManyAttempts
from chalicelib.models.base import ConditionFailed, StaleRead, Transaction
from chalicelib.models.identities import Identity
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.observability import metrics
from chalicelib.observability.logs import audit_log
from chalicelib.security import passwords, signing_keys, tokens
from chalicelib.security.tokens import TokenType
from chalicelib.services import password_attempts, rate_limits

# A rotated token is accepted for this time, unless its successor was used: the response with it may have been lost, and
# two tabs of a browser refresh at the same time.
REUSE_GRACE_SECONDS = 30
_INVALID_CREDENTIALS = "Invalid credentials."


class TokenPair(NamedTuple):
    """The tokens of a session."""

    access: str
    refresh: str


def login(name: str, password: str, client_ip: str) -> TokenPair:
    """Start a session by username or email address.

    Raises:
        NotAuthenticated: The user is unknown or deactivated, or the password is wrong. Detail and duration are the
            same for all of these. Or the account changed during the login.
        TooManyAttempts: Too many attempts failed, or succeeded.
    """
    user_id = Identity.find_user_id(name)
    try:
        with password_attempts.password_attempt(user_id=user_id, name=name, address=client_ip) as attempt:
            user = attempt.user
            is_correct = passwords.verify_password(password, user.password_hash if user else None)
            if user and is_correct and user.is_active:
                session = _new_session(user)
                attempt.succeeded, attempt.on_success = True, partial(_save, session, user, attempt)
    except TooManyAttempts as error:
        _log_refusal("Login throttled", "login.throttled", error.detail, user_id, name, client_ip)
        raise
    except StaleRead as error:
        _log_refusal("Login failed", "login.failed", "account changed", user_id, name, client_ip)
        raise NotAuthenticated(_INVALID_CREDENTIALS) from error
    if not (user and attempt.succeeded):
        reason = "unknown user" if user is None else "inactive user" if is_correct else "wrong password"
        _log_refusal("Login failed", "login.failed", reason, user_id, name, client_ip)
        raise NotAuthenticated(_INVALID_CREDENTIALS)
    audit_log.info("Login", event="login.ok", user_id=user.id, session_id=session.id, address=client_ip)
    if passwords.needs_rehash(str(user.password_hash)):
        user.rehash_password(passwords.hash_password(password))
    return _issue(user, session)


def _log_refusal(message: str, event: str, reason: str, user_id: str | None, name: str, client_ip: str) -> None:
    """Log a login that was refused. An unknown name is hashed: users type passwords there."""
    name_hmac = None if user_id else signing_keys.keyed_hash(name.lower())
    audit_log.info(message, event=event, reason=reason, user_id=user_id, name_hmac=name_hmac, address=client_ip)


def require_active_session(caller: Caller) -> User:
    """Return the user of an access token, unless the session was revoked: some effects must not wait for its expiry.

    Raises:
        NotAuthenticated: The session was revoked.
    """
    session, user = Session.find_with_user(caller.id, caller.session_id)
    if user is None or session is None or not _is_valid(user, session):
        raise NotAuthenticated("The session was revoked.")
    return user


def refresh(token: str) -> TokenPair:
    """Rotate a refresh token.

    The same token gets the same successor for REUSE_GRACE_SECONDS, as long as that was not used. Any other reuse
    revokes the session (RFC 9700 §4.14).

    Raises:
        NotAuthenticated: The token is invalid or was used before.
    """
    claims = _verify_refresh_token(token)
    session, user = Session.find_with_user(claims.user_id, claims.session_id)
    if session is None or user is None or not _is_valid(user, session):
        raise _invalid_refresh_token()
    now = int(time.time())
    if session.rotate(used=claims.token_id, new=str(uuid.uuid4()), now=now, expires_at=_expiry(now)):
        return _issue(user, session)
    stored = Session.find(claims.user_id, claims.session_id)
    if stored is None:  # a logout or an erasure at the same time
        raise _invalid_refresh_token()
    if stored.previous_id == claims.token_id and now - int(stored.rotated_at) <= REUSE_GRACE_SECONDS:
        return _issue(user, stored)
    session.delete()
    audit_log.warning("Refresh token reused", event="refresh.reused", user_id=user.id, session_id=session.id)
    metrics.increment("RefreshTokensReused")
    raise _invalid_refresh_token()


def logout(token: str) -> None:
    """Revoke the session of a refresh token.

    Raises:
        NotAuthenticated: The token is invalid.
    """
    claims = _verify_refresh_token(token)
    Session(claims.user_id, claims.session_id).delete()
    audit_log.info("Logout", event="logout", user_id=claims.user_id, session_id=claims.session_id)


def _new_session(user: User) -> Session:
    now = int(time.time())
    return Session(
        user.id,
        str(uuid.uuid4()),
        refresh_id=str(uuid.uuid4()),
        rotated_at=now,
        auth_version=user.auth_version,
        created_at=clock.timestamp(),
        expires_at=_expiry(now),
    )


def _save(session: Session, user: User, attempt: password_attempts.Attempt) -> None:
    """Save a new session and count its login in one transaction, so that neither is left without the other.

    Raises:
        StaleRead: The user was deactivated or erased, or their sessions were revoked, after the user was read.
        TooManyAttempts: The account has logged in too often.
    """
    while True:
        transaction = Transaction()
        user.check_may_log_in(transaction, label="user")
        transaction.put(session)
        quota = password_attempts.add_login(transaction, user.id, attempt)
        try:
            transaction.run()
            return
        except ConditionFailed as error:
            if "user" in error.failed:
                raise StaleRead(error.failed) from error
            rate_limits.require_left(quota, "Too many logins. Retry later.")
            attempt.last_logins = None  # it was deleted, or another login started a new window


def _is_valid(user: User, session: Session) -> bool:
    return user.is_active and user.auth_version == session.auth_version


def _issue(user: User, session: Session) -> TokenPair:
    """Return a new access token, and the session's current refresh token."""

    def issue(token_type: TokenType, token_id: str, issued_at: int) -> str:
        return tokens.issue(
            token_type,
            token_id=token_id,
            user_id=user.id,
            username=str(user.username),
            role=user.role,
            session_id=session.id,
            issued_at=issued_at,
        )

    return TokenPair(
        access=issue(TokenType.ACCESS, str(uuid.uuid4()), int(time.time())),
        refresh=issue(TokenType.REFRESH, session.refresh_id, int(session.rotated_at)),
    )


def _verify_refresh_token(token: str) -> tokens.Claims:
    try:
        return tokens.verify(token, TokenType.REFRESH)
    except tokens.InvalidToken as error:
        audit_log.info("Token refused", event="token.refused", reason=str(error), type="refresh")
        raise _invalid_refresh_token() from error


def _invalid_refresh_token() -> NotAuthenticated:
    return NotAuthenticated("The refresh token is invalid or was used before.")


def _expiry(now: int) -> int:
    return now + tokens.LIFETIME_SECONDS[TokenType.REFRESH]
