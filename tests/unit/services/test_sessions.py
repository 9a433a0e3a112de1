"""Sessions: how long they last, what ends them, and what their tokens contain."""

import time
from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotAuthenticated
from chalicelib.core.roles import Role
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.security import passwords, tokens
from chalicelib.security.tokens import TokenType
from chalicelib.services import accounts, sessions, users
from tests.clients import PASSWORD
from tests.factories import create_user

DAYS_7 = 7 * 24 * 60 * 60
MINUTES_30 = 30 * 60
ADDRESS = "192.0.2.1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are compared without hashing."""
    monkeypatch.setattr(passwords, "verify_password", lambda given, kept: given == PASSWORD and kept is not None)
    monkeypatch.setattr(passwords, "hash_password", lambda given: f"hash of {given}")
    monkeypatch.setattr(passwords, "needs_rehash", lambda kept: False)


@pytest.fixture
def student(aws: None) -> Caller:
    return create_user(Role.STUDENT, name="ada")


def log_in(name: str = "ada") -> sessions.TokenPair:
    return sessions.login(name, PASSWORD, ADDRESS)


def session_of(pair: sessions.TokenPair) -> Session:
    claims = tokens.verify(pair.refresh, TokenType.REFRESH)
    session = Session.find(claims.user_id, claims.session_id)
    assert session is not None
    return session


def caller_of(pair: sessions.TokenPair) -> Caller:
    claims = tokens.verify(pair.access, TokenType.ACCESS)
    return Caller(claims.user_id, claims.username, claims.role, claims.session_id)


def is_refused(token: str) -> bool:
    try:
        sessions.refresh(token)
    except NotAuthenticated as error:
        assert error.detail == "The refresh token is invalid or was used before."
        return True
    return False


def test_session_lasts_seven_days_from_its_last_refresh(student: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(time.time())
    monkeypatch.setattr(time, "time", lambda: now - 1000)
    pair = log_in()
    assert session_of(pair).expires_at == now - 1000 + DAYS_7

    monkeypatch.setattr(time, "time", lambda: now)
    renewed = sessions.refresh(pair.refresh)

    assert session_of(renewed).expires_at == now + DAYS_7
    assert tokens.verify(renewed.refresh, TokenType.REFRESH).expires_at == now + DAYS_7


def test_access_token_lasts_30_minutes_and_refresh_token_seven_days(student: Caller) -> None:
    before = int(time.time())
    pair = log_in()

    access, refresh = tokens.verify(pair.access, TokenType.ACCESS), tokens.verify(pair.refresh, TokenType.REFRESH)
    assert 0 <= access.expires_at - before - MINUTES_30 <= 2
    assert 0 <= refresh.expires_at - before - DAYS_7 <= 2
    assert access.session_id == refresh.session_id
    assert (access.user_id, access.username, access.role) == (student.id, "ada", Role.STUDENT)
    assert refresh.token_id == session_of(pair).refresh_id


@pytest.mark.parametrize("name", ["ada", "ADA", "ada@example.org", "Ada@Example.org"])
def test_login_by_username_or_email_in_any_case(student: Caller, name: str) -> None:
    assert caller_of(log_in(name)).id == student.id


def test_each_login_has_its_own_session(student: Caller) -> None:
    first, second = log_in(), log_in()

    sessions.logout(first.refresh)

    assert is_refused(first.refresh)
    assert not is_refused(second.refresh)


def test_reused_refresh_token_ends_its_session_only(student: Caller) -> None:
    first, other = log_in(), log_in()
    renewed = sessions.refresh(sessions.refresh(first.refresh).refresh)

    assert is_refused(first.refresh)
    assert is_refused(renewed.refresh)
    assert not is_refused(other.refresh)


def test_repeated_refresh_gets_the_same_successor_for_30_seconds(
    student: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    monkeypatch.setattr(time, "time", lambda: now - 40)
    pair = log_in()
    successor = sessions.refresh(pair.refresh)

    monkeypatch.setattr(time, "time", lambda: now - 10)
    repeated = sessions.refresh(pair.refresh)

    assert repeated.refresh == successor.refresh
    assert caller_of(repeated) == caller_of(successor)
    monkeypatch.setattr(time, "time", lambda: now - 9)
    assert is_refused(pair.refresh)
    assert is_refused(successor.refresh)


def test_rotated_token_is_refused_once_its_successor_was_used(student: Caller) -> None:
    first = log_in()
    second = sessions.refresh(first.refresh)
    third = sessions.refresh(second.refresh)

    assert sessions.refresh(second.refresh).refresh == third.refresh
    assert is_refused(first.refresh)
    assert is_refused(third.refresh)


def test_concurrent_refreshes_get_one_successor(student: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, successors, rotate = log_in(), list[str](), Session.rotate

    def rotate_after_another(session: Session, **arguments: Any) -> bool:
        monkeypatch.setattr(Session, "rotate", rotate)
        successors.append(sessions.refresh(pair.refresh).refresh)
        return session.rotate(**arguments)

    monkeypatch.setattr(Session, "rotate", rotate_after_another)
    successors.append(sessions.refresh(pair.refresh).refresh)

    assert len({*successors}) == 1


def test_revoked_session_has_no_grace(student: Caller) -> None:
    pair = log_in()
    sessions.refresh(pair.refresh)
    users.apply_changes(student.id, {"role": "instructor"})

    assert is_refused(pair.refresh)


@pytest.mark.parametrize(
    "change",
    [
        lambda user: [users.apply_changes(user, {"is_active": False}), users.apply_changes(user, {"is_active": True})],
        lambda user: users.apply_changes(user, {"role": "instructor"}),
        lambda user: users.apply_changes(user, {"is_active": False}),
        users.erase,
    ],
    ids=["deactivated and activated", "other role", "deactivated", "erased"],
)
def test_change_of_the_account_ends_its_sessions(student: Caller, change: Any) -> None:
    pair = log_in()
    assert accounts.get_profile(caller_of(pair)).id == student.id

    change(student.id)

    assert is_refused(pair.refresh)
    with pytest.raises(NotAuthenticated, match="The session was revoked"):
        accounts.get_profile(caller_of(pair))


def test_change_of_the_email_ends_no_session(student: Caller) -> None:
    pair = log_in()

    users.apply_changes(student.id, {"email": "new@example.org"})

    assert accounts.get_profile(caller_of(pair)).email == "new@example.org"
    assert not is_refused(pair.refresh)


def test_password_change_ends_all_sessions(student: Caller) -> None:
    pairs = [log_in(), log_in()]

    accounts.change_password(caller_of(pairs[0]), PASSWORD, "jackdaws love my sphinx", ADDRESS)

    assert [is_refused(pair.refresh) for pair in pairs] == [True, True]
    user = User.find(student.id)
    assert user is not None and user.password_hash == "hash of jackdaws love my sphinx"


def test_changed_role_is_in_the_next_tokens(student: Caller) -> None:
    users.apply_changes(student.id, {"role": "instructor"})

    assert caller_of(sessions.refresh(log_in().refresh)).role is Role.INSTRUCTOR


def test_inactive_user_does_not_log_in(student: Caller) -> None:
    users.apply_changes(student.id, {"is_active": False})

    with pytest.raises(NotAuthenticated, match="Invalid credentials"):
        log_in()


def test_token_of_an_ended_session_is_refused(student: Caller) -> None:
    pair = log_in()
    session_of(pair).delete()

    assert is_refused(pair.refresh)
    with pytest.raises(NotAuthenticated):
        accounts.get_profile(caller_of(pair))
    assert not is_refused(log_in().refresh)


def test_outdated_hash_is_replaced_at_login(student: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "needs_rehash", lambda kept: kept == "no hash")

    log_in()

    user = User.find(student.id)
    assert user is not None
    assert (user.password_hash, user.auth_version) == (f"hash of {PASSWORD}", 1)
