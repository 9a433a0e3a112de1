"""The keys that sign tokens and cursors, in Secrets Manager.

The secret is JSON: ``{"<key ID>": "<key>", …}``. A key's ID is the time from which it signs (RFC 3339). The newest key
whose time has come signs. A replaced key stays trusted until everything that it signed has expired. So a rotation is
one write, and all processes switch at the same time.
"""

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters import aws
from chalicelib.core.config import settings
from chalicelib.observability.logs import error_log

CACHE_SECONDS = 300  # after this time, all processes know a changed secret
_RETRY_SECONDS = 30  # between two attempts to read it while Secrets Manager cannot be reached
# How long a new key is published before it signs: until all processes know it, and some clock skew.
ACTIVATION_DELAY_SECONDS = CACHE_SECONDS + 60
MAX_TOKEN_LIFETIME_SECONDS = 7 * 24 * 3600  # nothing that is signed is valid for longer
MIN_KEY_BYTES = 32  # RFC 7518 §3.2: a key for HS256 is at least as long as its hash

CLOCK_SKEW_SECONDS = 60
KEY_ID_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class InvalidSigningKeys(RuntimeError):
    """The secret holds no usable key: nothing can be signed or verified."""


class _Key(NamedTuple):
    id: str
    active_from: float
    text: str


class SigningKeys(NamedTuple):
    """The keys of a stage, oldest first."""

    keys: tuple[_Key, ...]

    def active_key(self, now: float) -> tuple[str, str]:
        """Return the ID and text of the key that signs at a time (Unix seconds).

        Raises:
            InvalidSigningKeys: No key is active yet.
        """
        active = [key for key in self.keys if key.active_from <= now]
        if not active:
            raise InvalidSigningKeys(f"No key of the secret {settings().signing_keys_secret} is active yet.")
        return active[-1].id, active[-1].text

    def verification_keys(self, now: float) -> dict[str, str]:
        """Return the keys that verify at a time (Unix seconds), by ID, including those that are not active yet."""
        ends = [key.active_from + MAX_TOKEN_LIFETIME_SECONDS + CLOCK_SKEW_SECONDS for key in self.keys[1:]]
        return {key.id: key.text for key, end in zip(self.keys, [*ends, float("inf")], strict=True) if now <= end}


_cached: tuple[float, SigningKeys] | None = None


def reset() -> None:
    """Forget the keys that this process has read."""
    global _cached
    _cached = None


def signing_keys() -> SigningKeys:
    """Return the keys of this stage, at most CACHE_SECONDS old, or older while Secrets Manager cannot be reached.

    Raises:
        InvalidSigningKeys: The secret has no key, or one that is too short.
        BotoCoreError, ClientError: Secrets Manager cannot be reached, and this process has not read the keys yet.
    """
    global _cached
    # By the wall clock: a monotonic one may stand still while Lambda freezes the process.
    now = time.time()
    if _cached is None:
        _cached = (now, read())
    elif not 0 <= now - _cached[0] <= CACHE_SECONDS:
        try:
            _cached = (now, read())
        except (BotoCoreError, ClientError):
            error_log.exception("The signing keys cannot be read again: the previous ones stay in use")
            _cached = (now - CACHE_SECONDS + _RETRY_SECONDS, _cached[1])
    return _cached[1]


def prepare() -> None:
    """Create the client that reads the keys, without a connection to Secrets Manager."""
    aws.client("secretsmanager")


def read() -> SigningKeys:
    """Return the keys of the secret now.

    Raises:
        InvalidSigningKeys: The secret is unusable.
    """
    secret = aws.client("secretsmanager").get_secret_value(SecretId=settings().signing_keys_secret)
    return _parse(secret["SecretString"])


def keyed_hash(text: str) -> str:
    """Return a hash of a text for the log: without the keys, the text cannot be found by trying.

    Raises:
        InvalidSigningKeys, BotoCoreError, ClientError: As `signing_keys` does.
    """
    _, key = signing_keys().active_key(time.time())
    derived_key = hmac.digest(key.encode(), b"eduflow log", hashlib.sha256)
    return hmac.digest(derived_key, text.encode(), hashlib.sha256).hex()


def _parse(text: str) -> SigningKeys:
    name = settings().signing_keys_secret
    try:
        keys = [_Key(key_id, _activation_time(key_id), key) for key_id, key in _items(text)]
    except ValueError as error:
        raise InvalidSigningKeys(
            f'The secret {name} is not {{"<time>": "<key>", …}}. For a local stage, `make clean` creates a new one.'
        ) from error
    if not keys:
        raise InvalidSigningKeys(f"The secret {name} has no key.")
    for key_id, key in _items(text):
        if not isinstance(key, str) or len(key.encode()) < MIN_KEY_BYTES:
            raise InvalidSigningKeys(f"The key {key_id!r} of the secret {name} is shorter than {MIN_KEY_BYTES} bytes.")
    return SigningKeys(tuple(sorted(keys, key=lambda key: key.active_from)))


def _items(text: str) -> list[tuple[str, Any]]:
    keys = json.loads(text)
    if not isinstance(keys, dict):
        raise ValueError("not an object")
    return [*keys.items()]


def _activation_time(key_id: str) -> float:
    return datetime.strptime(key_id, KEY_ID_FORMAT).replace(tzinfo=UTC).timestamp()
