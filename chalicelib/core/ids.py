"""Ids: opaque lower-case strings of fixed length, safe in a URL.

A user or course has 16 characters of 5 random bits. An id of something that belongs to others
carries their ids, so that it is found by key and is unique by construction: an enrollment's is
student + course + 8 random characters, a lesson's is course + 8 random characters.
"""

import re
import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: none of i, l, o, u
_CHARACTERS = re.compile(f"[{_ALPHABET}]*")
ENTITY_LENGTH = 16
NONCE_LENGTH = 8


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def entity() -> str:
    """A new id of a user or course: 80 random bits."""
    return _random(ENTITY_LENGTH)


def nonce() -> str:
    """The random part of an id that carries others: 40 random bits."""
    return _random(NONCE_LENGTH)


def is_entity(value: str) -> bool:
    """Whether the value has the form of a user's or course's id."""
    return len(value) == ENTITY_LENGTH and _CHARACTERS.fullmatch(value) is not None


def lesson(course: str, random: str) -> str:
    """The id of a lesson."""
    return course + random


def split_lesson(value: str) -> tuple[str, str] | None:
    """A lesson id's course and random part; None if it is no such id."""
    if len(value) != ENTITY_LENGTH + NONCE_LENGTH or _CHARACTERS.fullmatch(value) is None:
        return None
    return value[:ENTITY_LENGTH], value[ENTITY_LENGTH:]


def enrollment(student: str, course: str, random: str) -> str:
    """The id of an enrollment."""
    return student + course + random


def split_enrollment(value: str) -> tuple[str, str, str] | None:
    """An enrollment id's student, course and random part; None if it is no such id."""
    if len(value) != 2 * ENTITY_LENGTH + NONCE_LENGTH or _CHARACTERS.fullmatch(value) is None:
        return None
    return value[:ENTITY_LENGTH], value[ENTITY_LENGTH : 2 * ENTITY_LENGTH], value[2 * ENTITY_LENGTH :]
