"""The keys that sign tokens and cursors, from Secrets Manager.

The secret is JSON: ``{"<key id>": "<key>", …}``. A key's id is the moment from which it signs (RFC
3339). The newest whose moment has come signs; one that was replaced is trusted until all that it
signed has ended. So a rotation is one write, and every process follows it by the clock.
"""

import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.adapters import aws
from chalicelib.core.config import settings

CACHE_SECONDS = 300
"""How long a process trusts what it read: a secret that changed is known everywhere after this."""
LEAD_SECONDS = CACHE_SECONDS + 60
"""How long a new key is published before it signs: until everyone knows it, and some seconds of skew."""
MAX_SIGNED_SECONDS = 7 * 24 * 3600
"""Nothing that is signed is good for longer."""
MIN_KEY_BYTES = 32  # RFC 7518 §3.2: a key for HS256 is at least as long as its hash

_SKEW_SECONDS = 60
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


class BadSigningKeys(RuntimeError):
    """The secret holds no usable keys: nothing can be signed, nothing is trusted."""


class RotationUnderWay(RuntimeError):
    """A new key is published already, and has not begun to sign."""


@dataclass(frozen=True)
class _Key:
    id: str
    begins_at: float
    text: str


@dataclass(frozen=True)
class SigningKeys:
    """The keys of a stage, oldest first."""

    keys: tuple[_Key, ...]

    def signing(self, now: float) -> tuple[str, str]:
        """The id and text of the key that signs at a moment (Unix seconds).

        Raises BadSigningKeys when none has begun.
        """
        begun = [key for key in self.keys if key.begins_at <= now]
        if not begun:
            raise BadSigningKeys(f"no key of the secret {settings().signing_keys_secret} signs yet")
        return begun[-1].id, begun[-1].text

    def trusted(self, now: float) -> dict[str, str]:
        """The keys that verify at a moment (Unix seconds), by id: those to come, too."""
        ends = [key.begins_at + MAX_SIGNED_SECONDS + _SKEW_SECONDS for key in self.keys[1:]]
        return {key.id: key.text for key, end in zip(self.keys, [*ends, float("inf")], strict=True) if now <= end}


_cached: tuple[float, SigningKeys] | None = None


def signing_keys() -> SigningKeys:
    """The keys of this stage, as they were at most CACHE_SECONDS ago.

    Raises BadSigningKeys when the secret has none, or one too short.
    """
    global _cached
    if _cached is None or time.monotonic() - _cached[0] > CACHE_SECONDS:
        _cached = (time.monotonic(), _read())
    return _cached[1]


def rotate(now: datetime) -> str:
    """Publish a new key, and drop those that are trusted no more; the new one's id.

    It signs after LEAD_SECONDS; the one before it is trusted until its last refresh token has
    ended: nobody is logged out.

    Raises RotationUnderWay when the newest key does not sign yet, BadSigningKeys.
    """
    keys = _read()
    newest = keys.keys[-1]
    if newest.begins_at > now.timestamp():
        raise RotationUnderWay(f"A new key is published already; it signs from {newest.id}.")
    key_id = _id_of(now.timestamp() + LEAD_SECONDS)
    _write(keys.trusted(now.timestamp()) | {key_id: _new_key()})
    return key_id


def replace(now: datetime) -> str:
    """Put one new key in the place of all, for when they are known to others; the new one's id.

    Within CACHE_SECONDS no function trusts the old ones: every session has ended.
    """
    key_id = _id_of(now.timestamp() - _SKEW_SECONDS)
    _write({key_id: _new_key()})
    return key_id


def _read() -> SigningKeys:
    secret = aws.client("secretsmanager").get_secret_value(SecretId=settings().signing_keys_secret)
    return _parse(secret["SecretString"])


def _write(keys: dict[str, str]) -> None:
    aws.client("secretsmanager").put_secret_value(
        SecretId=settings().signing_keys_secret, SecretString=json.dumps(keys)
    )


def _parse(text: str) -> SigningKeys:
    name = settings().signing_keys_secret
    try:
        found = [_Key(key_id, _moment_of(key_id), key) for key_id, key in _items(text)]
    except ValueError as error:
        raise BadSigningKeys(
            f'the secret {name} is not {{"<moment>": "<key>", …}}; on a laptop, `make clean` makes it anew'
        ) from error
    if not found:
        raise BadSigningKeys(f"the secret {name} has no key")
    for key_id, key in _items(text):
        if not isinstance(key, str) or len(key.encode()) < MIN_KEY_BYTES:
            raise BadSigningKeys(f"the key {key_id!r} of the secret {name} is shorter than {MIN_KEY_BYTES} bytes")
    return SigningKeys(tuple(sorted(found, key=lambda key: key.begins_at)))


def _items(text: str) -> list[tuple[str, Any]]:
    keys = json.loads(text)
    if not isinstance(keys, dict):
        raise ValueError("not an object")
    return [*keys.items()]


def _id_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(_MOMENT)


def _moment_of(key_id: str) -> float:
    return datetime.strptime(key_id, _MOMENT).replace(tzinfo=UTC).timestamp()


def _new_key() -> str:
    return secrets.token_urlsafe(48)
