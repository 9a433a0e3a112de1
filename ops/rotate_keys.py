"""Rotation of the keys that sign tokens and cursors."""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chalicelib.adapters import aws
from chalicelib.core.audit import OPERATOR, Action
from chalicelib.core.config import settings
from chalicelib.security import signing_keys
from chalicelib.security.signing_keys import ACTIVATION_DELAY_SECONDS, CLOCK_SKEW_SECONDS, KEY_ID_FORMAT
from chalicelib.services import audit

_SUBJECT = "signing-keys"  # in the audit log


class RotationInProgress(RuntimeError):
    """A new key is published, but not active yet."""


def rotate(now: datetime) -> str:
    """Publish a new key, drop the keys that are no longer trusted, and return the new key's ID.

    It signs after ACTIVATION_DELAY_SECONDS. The previous key stays trusted until its last refresh token has expired:
    no user is logged out.

    Raises:
        RotationInProgress: The newest key is not active yet.
        InvalidSigningKeys: The secret is unusable.
    """
    keys = signing_keys.read()
    newest = keys.keys[-1]
    if newest.active_from > now.timestamp():
        raise RotationInProgress(f"A new key is published already. It signs from {newest.id}.")
    key_id = _key_id(now.timestamp() + ACTIVATION_DELAY_SECONDS)
    _write(keys.verification_keys(now.timestamp()) | {key_id: _new_key()}, {"key_id": [newest.id, key_id]})
    return key_id


def revoke_and_replace(now: datetime) -> str:
    """Replace all keys by a new one, because they were compromised, and return its ID.

    Within CACHE_SECONDS no function trusts the old keys: all users are logged out.
    """
    key_id = _key_id(now.timestamp() - CLOCK_SKEW_SECONDS)
    _write({key_id: _new_key()}, {"key_id": [None, key_id], "earlier_keys": True})
    return key_id


def _write(keys: dict[str, str], changes: Mapping[str, Any]) -> None:
    """Write the keys, with an entry of the audit log before and one after: the two stores share no transaction."""
    audit.save(audit.entry(OPERATOR, Action.KEYS_ROTATION_STARTED, _SUBJECT, changes))
    aws.client("secretsmanager").put_secret_value(
        SecretId=settings().signing_keys_secret, SecretString=json.dumps(keys)
    )
    audit.save(audit.entry(OPERATOR, Action.KEYS_ROTATED, _SUBJECT, changes))


def _key_id(active_from: float) -> str:
    return datetime.fromtimestamp(active_from, UTC).strftime(KEY_ID_FORMAT)


def _new_key() -> str:
    return secrets.token_urlsafe(48)
