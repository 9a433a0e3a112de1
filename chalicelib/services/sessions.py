"""Sessions: begun by a login, kept by refresh tokens that each work once, ended by whatever is suspicious."""

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
from chalicelib.services import login_throttling

_NOBODY = "#nobody"  # an id that is none, to be looked up in as much time as anybody's


@dataclass(frozen=True)
class TokenPair:
    """A session's tokens."""

    access: str
    refresh: str
    refresh_id: str


def login(name: str, password: str, address: str) -> TokenPair:
    """Begin a session, by username or email address, from an address that is not the caller's to choose.

    Raises NotAuthenticated, in the same words and time, for an unknown user, a wrong password and
    an account that is switched off; Throttled when there were too many of these.
    """
    user_id = Identity.owner(name)
    with login_throttling.guess(user_id=user_id, name=name, address=address) as attempt:
        user = User.find(user_id or _NOBODY)
        good = passwords.matches(password, user.password_hash if user else None)
        if user and good and user.is_active:
            pair = _begin(user)
            attempt.good = True
    if not (user and attempt.good):
        raise NotAuthenticated("No active account has these credentials.")
    if passwords.is_outdated(str(user.password_hash)):
        user.change_password_hash(passwords.hashed(password))
    return pair


def live_user(caller: Caller) -> User:
    """The user behind an access token, if nothing has ended its session since: for what must not wait for its end.

    Raises NotAuthenticated.
    """
    user = User.find(caller.id)
    session = Session.find(caller.id, caller.session_id)
    if user is None or session is None or not _is_good(user, session):
        raise NotAuthenticated("The session of this token has ended.")
    return user


def refresh(token: str) -> TokenPair:
    """New tokens for a refresh token, which works once; used again it ends the session (RFC 9700 §4.14).

    Raises NotAuthenticated.
    """
    claims = _verified(token)
    session = Session.find(claims.user_id, claims.session_id)
    user = User.find(claims.user_id)
    if session is None or user is None or not _is_good(user, session):
        raise _refused()
    pair = _issue(user, session.id)
    if not session.rotate(used=claims.token_id, new=pair.refresh_id, expires_at=_expiry()):
        session.delete()
        raise _refused()
    return pair


def logout(token: str) -> None:
    """End the session of a refresh token.

    Raises NotAuthenticated for what is no refresh token of ours.
    """
    claims = _verified(token)
    Session(claims.user_id, claims.session_id).delete()


def _begin(user: User) -> TokenPair:
    session_id = str(uuid.uuid4())
    pair = _issue(user, session_id)
    Session(
        user.id,
        session_id,
        refresh_id=pair.refresh_id,
        auth_version=user.auth_version,
        created_at=clock.rfc3339(clock.now()),
        expires_at=_expiry(),
    ).save()
    return pair


def _is_good(user: User, session: Session) -> bool:
    return user.is_active and user.auth_version == session.auth_version


def _issue(user: User, session_id: str) -> TokenPair:
    now = clock.now()

    def issue(kind: str) -> tuple[str, str]:
        return tokens.issue(
            kind, user_id=user.id, username=str(user.username), role=user.role, session_id=session_id, now=now
        )

    access, _ = issue(tokens.ACCESS)
    return TokenPair(access, *issue(tokens.REFRESH))


def _verified(token: str) -> tokens.Claims:
    try:
        return tokens.verify(token, tokens.REFRESH)
    except tokens.BadToken as error:
        raise _refused() from error


def _refused() -> NotAuthenticated:
    return NotAuthenticated("The refresh token is not valid, or was used before.")


def _expiry() -> int:
    return int(time.time()) + tokens.LIFETIME_SECONDS[tokens.REFRESH]
