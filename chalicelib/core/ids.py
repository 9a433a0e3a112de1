"""IDs: opaque lower-case strings of fixed length, safe in a URL.

A user or course has 16 characters of 5 random bits. The ID of a dependent entity contains the IDs of its parents, so
that it is read by key and is unique by construction: an enrollment's is student + course + 8 random characters, a
lesson's is course + 8 random characters.
"""

import re
import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: without i, l, o, u
_CHARACTERS = re.compile(f"[{ALPHABET}]*")
ID_LENGTH = 16
SUFFIX_LENGTH = 8
SECRET_LENGTH = 26


def new_id() -> str:
    """Return a new ID of a user or course: 80 random bits."""
    return _random_text(ID_LENGTH)


def new_suffix() -> str:
    """Return the random part of a dependent entity's ID: 40 random bits."""
    return _random_text(SUFFIX_LENGTH)


def new_secret() -> str:
    """Return a secret for links in emails: 130 random bits."""
    return _random_text(SECRET_LENGTH)


def is_valid_id(value: str) -> bool:
    """Return whether a value has the form of a user's or course's ID."""
    return len(value) == ID_LENGTH and _CHARACTERS.fullmatch(value) is not None


def lesson_id(course_id: str, suffix: str) -> str:
    """Return the ID of a lesson."""
    return course_id + suffix


def parse_lesson_id(value: str) -> tuple[str, str] | None:
    """Return the course ID and suffix of a lesson ID, or None if it is malformed."""
    if len(value) != ID_LENGTH + SUFFIX_LENGTH or _CHARACTERS.fullmatch(value) is None:
        return None
    return value[:ID_LENGTH], value[ID_LENGTH:]


def enrollment_id(student_id: str, course_id: str, suffix: str) -> str:
    """Return the ID of an enrollment."""
    return student_id + course_id + suffix


def parse_enrollment_id(value: str) -> tuple[str, str, str] | None:
    """Return the student ID, course ID and suffix of an enrollment ID, or None if it is malformed."""
    if len(value) != 2 * ID_LENGTH + SUFFIX_LENGTH or _CHARACTERS.fullmatch(value) is None:
        return None
    return value[:ID_LENGTH], value[ID_LENGTH : 2 * ID_LENGTH], value[2 * ID_LENGTH :]


def parse_secret(value: str) -> tuple[str, str] | None:
    """Return the user ID and secret of a token that consists of both, or None if it is malformed."""
    if len(value) != ID_LENGTH + SECRET_LENGTH or _CHARACTERS.fullmatch(value) is None:
        return None
    return value[:ID_LENGTH], value[ID_LENGTH:]


def _random_text(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
