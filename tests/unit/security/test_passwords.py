import subprocess
import sys

import pytest
from passlib.handlers.argon2 import argon2

from chalicelib.core.errors import NotAuthenticated
from chalicelib.core.roles import Role
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import sessions
from infra.config import PROJECT
from tests.clients import PASSWORD
from tests.factories import create_user


def codes(password: str, username: str = "ada.lovelace", email: str = "countess@example.org") -> set[str]:
    return {fault.code for fault in passwords.policy_violations(password, username=username, email=email)}


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("sphinx of black quartz", set()),
        ("short1!", {"password_too_short"}),
        ("x1" * 64, set()),
        ("x1" * 64 + "y", {"password_too_long"}),
        ("password123", {"password_too_common"}),
        ("PASSWORD123", {"password_too_common"}),
        ("8675309867530", {"password_entirely_numeric"}),
        ("12345678", {"password_too_common", "password_entirely_numeric"}),
        ("ada.lovelace1", {"password_too_similar"}),
        ("Lovelace99", {"password_too_similar"}),
        ("countess!", {"password_too_similar"}),
    ],
)
def test_djangos_four_rules(password: str, expected: set[str]) -> None:
    assert codes(password) == expected


def test_hash_matches_its_password_only() -> None:
    kept = passwords.hash_password("sphinx of black quartz")

    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify_password("sphinx of black quartz", kept)
    assert not passwords.verify_password("sphinx of black quarts", kept)


def test_password_is_normalized_to_nfkc() -> None:
    assert passwords.verify_password("Zu\u0308rich am See", passwords.hash_password("Z\u00fcrich am See"))


@pytest.mark.parametrize("password", ["", "a password", "\ufdfa" * 300, "x" * 5000])
def test_dummy_hash_matches_no_password(password: str) -> None:
    assert not passwords.verify_password(password, None)
    assert not passwords.verify_password(password, passwords.hash_password("another password"))


def test_hash_of_weaker_parameters_needs_rehash() -> None:
    weaker = argon2.using(type="ID", memory_cost=8 * 1024, rounds=1, parallelism=1).hash("sphinx of black quartz")

    assert passwords.verify_password("sphinx of black quartz", weaker)
    assert passwords.needs_rehash(weaker)
    assert not passwords.needs_rehash(passwords.hash_password("sphinx of black quartz"))


def test_login_rehashes_an_outdated_hash(aws: None) -> None:
    student = create_user(Role.STUDENT)
    weaker = argon2.using(type="ID", memory_cost=8 * 1024, rounds=1, parallelism=1).hash(PASSWORD)
    User(student.id).update([User.password_hash.set(weaker)])

    def kept() -> str:
        user = User.find(student.id)
        assert user is not None
        return str(user.password_hash)

    with pytest.raises(NotAuthenticated):
        sessions.login(student.username, "wrong", "192.0.2.1")
    assert kept() == weaker
    tokens = sessions.login(student.username, PASSWORD, "192.0.2.1")
    assert kept().startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify_password(PASSWORD, kept())
    sessions.refresh(tokens.refresh)  # it is the same password: no session ends


def test_unknown_user_costs_one_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the time of a login would show which users exist."""
    verified: list[str] = []

    class Hasher:
        def verify(self, password: str, kept: str) -> bool:
            verified.append(password)
            assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
            return True

    monkeypatch.setattr(passwords, "_hasher", Hasher)

    assert not passwords.verify_password("a password", None)
    assert not passwords.verify_password("x" * 129, passwords._DUMMY_HASH)
    assert passwords.verify_password("x" * 128, passwords._DUMMY_HASH)
    assert verified == ["a password", "", "x" * 128]


def test_first_hashes_of_two_threads_load_no_backend() -> None:
    """The methods of passlib that load it fail if another thread has loaded it meanwhile."""
    program = """
from passlib.handlers import argon2
from chalicelib.security import passwords
from infra.config import PROJECT
argon2._NoBackend._stub_requires_backend = None
passwords.hash_password("jackdaws love")
passwords._hasher.cache_clear()
assert passwords.verify_password("jackdaws love", passwords.hash_password("jackdaws love"))
"""

    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)
