"""Text of users in emails: as text, without links and disguises."""

import re
import unicodedata

_JOINERS = {"\u200c", "\u200d"}  # of words and emoji
# What email programs make links of: a scheme, or a dot inside a word, such as in a domain.
_SCHEME = re.compile(r"(?<=\w):(?=//)")
_DOT_IN_WORD = re.compile(r"(?<=\w)\.(?=[^\W\d_]{2})")


def plain(text: str) -> str:
    """Return a text as one line without control and formatting characters, of which no email program makes links.

    ``https://evil.example`` becomes ``https[:]//evil[.]example``.
    """
    visible = "".join(character for character in text if character.isspace() or _is_visible(character))
    return _DOT_IN_WORD.sub("[.]", _SCHEME.sub("[:]", " ".join(visible.split())))


def _is_visible(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf")
