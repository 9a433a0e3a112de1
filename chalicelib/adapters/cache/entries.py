"""Entries of the cache: what identifies them, their tags, and how they are stored.

A stored entry is two lines. The first is for the script that reads it: the generation, the number of invalidations
in it, and the tags of the entry. The second is for the reader: the key, and the value.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from chalicelib.adapters.cache import keys

MAX_ENTRY_BYTES = 400_000  # as stored
MIN_COMPRESSED_BYTES = 1_000  # ElastiCache bills each kilobyte; shorter values are one anyway
_COMPRESSION_LEVEL = 1  # 10 to 20 % larger than level 6, in a third of the time

_VALUE, _COMPRESSED, _ABSENT, _TOO_LARGE = b"=", b"z", b"0", b"-"

Value = TypeVar("Value")


class TooLarge(Exception):
    """The value of an entry is never cached: it is larger than MAX_ENTRY_BYTES."""


def _no_tags(value: object) -> Sequence[str]:
    return ()


class Entry(NamedTuple, Generic[Value]):
    """A cache entry: its scope and name, how its value becomes text and back, and its tags.

    ``tags`` returns names without spaces. The entry becomes invalid when one of its tags, or the whole scope, is
    invalidated.
    """

    scope: str
    name: str
    serialize: Callable[[Value], str]
    deserialize: Callable[[str], Value]
    tags: Callable[[Value | None], Sequence[str]] = _no_tags

    @property
    def key(self) -> str:
        """The key of the entry. All keys of a scope are in one hash slot."""
        return keys.entry(self.scope, self.name)

    @property
    def lease_key(self) -> str:
        """The key of the lease on which it is loaded."""
        return keys.lease(self.scope, self.name)

    def encode(self, generation: bytes, value: Value | None) -> tuple[bytes, bool]:
        """Return the stored text of a value loaded under a generation, and whether it contains the value."""
        content = self._encode_value(value)
        head = b" ".join((generation, *(tag.encode() for tag in self.tags(value))))
        return b"\n".join((head, self._prefix + content)), content[:1] in (_VALUE, _COMPRESSED)

    def decode(self, line: bytes) -> Value | None:
        """Return the value of the second line of a stored text.

        Raises:
            TooLarge: The value is not cached.
            ValueError, KeyError, TypeError, AttributeError, zlib.error: The text is malformed, or of another entry.
        """
        if not line.startswith(self._prefix):
            raise ValueError("the text of another key")
        content = line[len(self._prefix) :]
        kind, text = content[:1], content[1:]
        if kind == _ABSENT:
            return None
        if kind == _TOO_LARGE:
            raise TooLarge
        return self.deserialize((zlib.decompress(text) if kind == _COMPRESSED else text).decode())

    @property
    def _prefix(self) -> bytes:
        """The key, so that a reply to another command is not taken for this entry."""
        return self.key.encode() + b"|"

    def _encode_value(self, value: Value | None) -> bytes:
        if value is None:
            return _ABSENT
        text = self.serialize(value).encode()
        if len(text) < MIN_COMPRESSED_BYTES:
            return _VALUE + text
        content = _COMPRESSED + zlib.compress(text, _COMPRESSION_LEVEL)
        return content if len(content) <= MAX_ENTRY_BYTES else _TOO_LARGE
