"""Tokens in the links by which users unsubscribe from emails, without a login (RFC 8058).

A token is the user ID, a secret of the user's row, and what the link stops. It is not signed: signing keys rotate, and
emails are kept for years. It permits nothing but to stop emails.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Self

from chalicelib.core import ids
from chalicelib.core.email_kinds import EmailPreference

ALL = "all"
_SCOPES = (*EmailPreference, ALL)
PATTERN = rf"^[{ids.ALPHABET}]{{{ids.ID_LENGTH + ids.SECRET_LENGTH}}}({'|'.join(_SCOPES)})$"
_COMPILED = re.compile(PATTERN)


@dataclass(frozen=True)
class UnsubscribeToken:
    """The parts of a token. ``scope`` is the name of a preference, or ALL."""

    user_id: str
    secret: str = field(repr=False)
    scope: str

    def __str__(self) -> str:
        return self.user_id + self.secret + self.scope

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the parts of a token, or None if it is malformed."""
        if _COMPILED.fullmatch(text) is None:
            return None
        end_of_secret = ids.ID_LENGTH + ids.SECRET_LENGTH
        return cls(text[: ids.ID_LENGTH], text[ids.ID_LENGTH : end_of_secret], text[end_of_secret:])

    @property
    def preferences(self) -> set[str]:
        """The names of the preferences that the link stops."""
        return {*EmailPreference} if self.scope == ALL else {self.scope}

    def for_all(self) -> Self:
        """Return the token of the same user that stops all emails."""
        return replace(self, scope=ALL)
