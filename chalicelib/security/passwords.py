"""Password hashing (argon2id) and password rules.

The rules and messages are those of Django's four validators
(https://docs.djangoproject.com/en/5.2/topics/auth/passwords/#password-validation).
"""

import gzip
import re
import unicodedata
from functools import cache
from typing import Any

from chalicelib.core.errors import FieldError
from chalicelib.core.resources import COMMON_PASSWORDS_FILE

MIN_LENGTH = 8
MAX_LENGTH = 128
MAX_SIMILARITY = 0.7

# The hash of a discarded random text: verifying against it takes as long as against a user's.
_DUMMY_HASH = "$argon2id$v=19$m=19456,t=2,p=1$8v5fqxWilLIWImRMKcUYAw$qM1fbfm0uh8OOAPQ+EzG/osX4nLFMAuA+xR8GJuYl2s"


@cache
def _hasher() -> Any:
    from passlib.handlers.argon2 import argon2  # not passlib.hash, whose lazy import is no match for threads

    argon2.set_backend()  # takes a lock. The first hash would load it, too, and fail in a second thread
    # OWASP's first choice: 19 MiB, two passes, one lane
    # (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
    return argon2.using(type="ID", memory_cost=19 * 1024, rounds=2, parallelism=1)


def normalize(password: str) -> str:
    """Return the password in Unicode's NFKC, so that all keyboards produce the same text (NIST SP 800-63B §3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def hash_password(password: str) -> str:
    """Return the hash of a password, with its salt and parameters."""
    return str(_hasher().hash(normalize(password)))


def verify_password(password: str, password_hash: str | None) -> bool:
    """Return whether the password matches the hash.

    Without a hash (an unknown user) return False in the same time, to prevent user enumeration by timing.
    """
    candidate = normalize(password)
    if len(candidate) > MAX_LENGTH:  # no stored password is this long, and the hasher has a limit
        candidate, password_hash = "", None
    is_match = _hasher().verify(candidate, password_hash or _DUMMY_HASH)
    return bool(is_match) and password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Return whether a hash was created with other parameters than new ones are."""
    return bool(_hasher().needs_update(password_hash))


def policy_violations(password: str, *, username: str, email: str, field: str = "password") -> tuple[FieldError, ...]:
    """Return all rules that a new password violates, as errors of the field."""
    password = normalize(password)
    violations = []
    for attribute, value in (("username", username), ("email address", email)):
        if _is_similar(password, value):
            violations.append(("password_too_similar", f"The password is too similar to the {attribute}."))
    if len(password) < MIN_LENGTH:
        violations.append(
            ("password_too_short", f"This password is too short. It must contain at least {MIN_LENGTH} characters.")
        )
    if len(password) > MAX_LENGTH:
        violations.append(
            ("password_too_long", f"This password is too long. It must contain at most {MAX_LENGTH} characters.")
        )
    if password.lower().strip() in _common_passwords():
        violations.append(("password_too_common", "This password is too common."))
    if password.isdigit():
        violations.append(("password_entirely_numeric", "This password is entirely numeric."))
    return tuple(FieldError(field, code, message) for code, message in violations)


def _is_similar(password: str, value: str) -> bool:
    from difflib import SequenceMatcher  # late, for short cold starts

    password, value = password.lower(), value.lower()
    for part in [*re.split(r"\W+", value), value]:
        # A part that is far shorter than the password cannot be similar to it.
        if not part or len(password) >= 10 * len(part):
            continue
        if SequenceMatcher(a=password, b=part).quick_ratio() >= MAX_SIMILARITY:
            return True
    return False


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset(gzip.decompress(COMMON_PASSWORDS_FILE.read_bytes()).decode().split("\n"))
