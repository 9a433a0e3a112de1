"""The keys that sign tokens and cursors, from Secrets Manager.

The secret is JSON: ``{"active": "<kid>", "<kid>": "<key>", …}``. All its keys verify, the active
one signs. Every process reads it at most every CACHE_SECONDS.
"""

import json
import time
from dataclasses import dataclass

from chalicelib import aws
from chalicelib.settings import settings

CACHE_SECONDS = 300
MIN_KEY_BYTES = 32  # RFC 7518 §3.2: a key for HS256 is at least as long as its hash


class BadSigningKeys(RuntimeError):
    """The secret holds no usable keys: nothing can be signed, nothing is trusted."""


@dataclass(frozen=True)
class SigningKeys:
    """The keys by their ids, and the id of the one that signs."""

    active: str
    keys: dict[str, str]

    @property
    def signing_key(self) -> str:
        """The key that signs."""
        return self.keys[self.active]


_cached: tuple[float, SigningKeys] | None = None


def signing_keys() -> SigningKeys:
    """The keys of this stage.

    Raises BadSigningKeys when the secret has none, or one too short.
    """
    global _cached
    if _cached is None or time.monotonic() - _cached[0] > CACHE_SECONDS:
        secret = aws.client("secretsmanager").get_secret_value(SecretId=settings().signing_keys_secret)
        _cached = (time.monotonic(), _parse(secret["SecretString"]))
    return _cached[1]


def _parse(text: str) -> SigningKeys:
    name = settings().signing_keys_secret
    try:
        keys = json.loads(text)
        active = keys.pop("active")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSigningKeys(f'the secret {name} is not {{"active": kid, kid: key, …}}') from error
    if active not in keys:
        raise BadSigningKeys(f"the secret {name} has no key of its active id")
    for kid, key in keys.items():
        if not isinstance(key, str) or len(key.encode()) < MIN_KEY_BYTES:
            raise BadSigningKeys(f"the key {kid!r} of the secret {name} is shorter than {MIN_KEY_BYTES} bytes")
    return SigningKeys(active, keys)
