"""Cursors on the wire: opaque, signed, and valid only for the list that they were issued for."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from functools import lru_cache

from chalicelib.core.errors import InvalidInput
from chalicelib.core.pagination import Cursor
from chalicelib.security.signing_keys import signing_keys

_MAC_BYTES = 16


def encode(cursor: Cursor, scope: str) -> str:
    """Return a cursor as text. ``scope`` names everything it is bound to: path, query, role."""
    _, key = signing_keys().active_key(time.time())
    return _encode(cursor, scope, key)


@lru_cache(maxsize=256)  # the cursors of the pages that are read most often
def _encode(cursor: Cursor, scope: str, key: str) -> str:
    payload = json.dumps([cursor.sort_key, cursor.backward], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(key, payload, scope) + payload).decode().rstrip("=")


def decode(text: str, scope: str) -> Cursor:
    """Return the cursor of a text.

    Raises:
        InvalidInput: The text is not a cursor that was issued for this scope.
    """
    try:
        data = base64.urlsafe_b64decode(text + "==")  # it ignores padding that is not needed
    except (binascii.Error, ValueError):
        data = b""
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:  # accept one spelling only
        data = b""
    mac, payload = data[:_MAC_BYTES], data[_MAC_BYTES:]
    keys = signing_keys().verification_keys(time.time()).values()
    if not any(hmac.compare_digest(mac, _mac(key, payload, scope)) for key in keys):
        raise InvalidInput.for_field("cursor", "invalid_cursor", "The cursor is not valid for this list.")
    sort_key, backward = json.loads(payload)
    return Cursor(sort_key, backward)


def _mac(key: str, payload: bytes, scope: str) -> bytes:
    return hmac.digest(_derived_key(key), scope.encode() + b"\0" + payload, hashlib.sha256)[:_MAC_BYTES]


@lru_cache(maxsize=4)
def _derived_key(key: str) -> bytes:
    """Return another key, so that nothing that is signed as a cursor is valid as a token."""
    return hmac.digest(key.encode(), b"eduflow cursor", hashlib.sha256)
