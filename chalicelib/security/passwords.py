"""Passwords: what is a good one, and how it is kept (argon2id).

The rules and messages are those of Django's four validators
(https://docs.djangoproject.com/en/5.2/topics/auth/passwords/#password-validation).
"""

import gzip
import re
import unicodedata
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from chalicelib.core.errors import FieldError
from chalicelib.core.resources import COMMON_PASSWORDS_FILE

MIN_LENGTH = 8
MAX_LENGTH = 128
MAX_SIMILARITY = 0.7

# Of a random text that was thrown away: it takes a wrong password as long as anybody's hash.
_NOBODYS_HASH = "$argon2id$v=19$m=19456,t=2,p=1$8v5fqxWilLIWImRMKcUYAw$qM1fbfm0uh8OOAPQ+EzG/osX4nLFMAuA+xR8GJuYl2s"


@cache
def _hasher() -> Any:
    from passlib.handlers.argon2 import argon2  # not passlib.hash, whose lazy import is no match for threads

    # OWASP's first choice: 19 MiB, two passes, one lane
    # (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
    return argon2.using(type="ID", memory_cost=19 * 1024, rounds=2, parallelism=1)


def normalized(password: str) -> str:
    """The password as it is hashed: in Unicode's NFKC, so that every keyboard spells it alike (RFC 8265 §4.2.1)."""
    return unicodedata.normalize("NFKC", password)


def hashed(password: str) -> str:
    """The hash to keep."""
    return str(_hasher().hash(normalized(password)))


def matches(password: str, password_hash: str | None) -> bool:
    """Whether this is the password of that hash.

    Without a hash (an unknown user) it takes as long, and is False.
    """
    given = normalized(password)
    if len(given) > MAX_LENGTH:  # nobody's; normalised, it can be longer than what the hasher takes
        given, password_hash = "", None
    good = _hasher().verify(given, password_hash or _NOBODYS_HASH)
    return bool(good) and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether a hash was made with other parameters than new ones are."""
    return bool(_hasher().needs_update(password_hash))


def faults(password: str, *, username: str, email: str, field: str = "password") -> tuple[FieldError, ...]:
    """All rules that a new password breaks, as errors of the field."""
    password = normalized(password)
    found = []
    for attribute, value in (("username", username), ("email address", email)):
        if _similar(password, value):
            found.append(("password_too_similar", f"The password is too similar to the {attribute}."))
    if len(password) < MIN_LENGTH:
        found.append(
            ("password_too_short", f"This password is too short. It must contain at least {MIN_LENGTH} characters.")
        )
    if len(password) > MAX_LENGTH:
        found.append(
            ("password_too_long", f"This password is too long. It must contain at most {MAX_LENGTH} characters.")
        )
    if password.lower().strip() in _common_passwords():
        found.append(("password_too_common", "This password is too common."))
    if password.isdigit():
        found.append(("password_entirely_numeric", "This password is entirely numeric."))
    return tuple(FieldError(field, code, message) for code, message in found)


def _similar(password: str, value: str) -> bool:
    password, value = password.lower(), value.lower()
    for part in [*re.split(r"\W+", value), value]:
        # A part far shorter than the password can't be similar to it: spare the comparison.
        if not part or len(password) >= 10 * len(part):
            continue
        if SequenceMatcher(a=password, b=part).quick_ratio() >= MAX_SIMILARITY:
            return True
    return False


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset(gzip.decompress(COMMON_PASSWORDS_FILE.read_bytes()).decode().split("\n"))
