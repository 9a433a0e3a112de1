import pytest

from chalicelib import passwords


def codes(password: str, username: str = "ada.lovelace", email: str = "countess@example.org") -> set[str]:
    return {fault.code for fault in passwords.faults(password, username=username, email=email)}


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


def test_a_hash_matches_its_password_only() -> None:
    kept = passwords.hashed("sphinx of black quartz")

    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.matches("sphinx of black quartz", kept)
    assert not passwords.matches("sphinx of black quarts", kept)


def test_every_keyboard_spells_a_password_alike() -> None:
    assert passwords.matches("Zu\u0308rich am See", passwords.hashed("Z\u00fcrich am See"))


@pytest.mark.parametrize("password", ["", "a password", "\ufdfa" * 300, "x" * 5000])
def test_nobody_has_the_hash_of_nobody(password: str) -> None:
    assert not passwords.matches(password, None)
    assert not passwords.matches(password, passwords.hashed("another password"))
