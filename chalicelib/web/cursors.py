"""Cursors: a place in a list as opaque text, signed, and good only for the list it was made for."""

import base64
import binascii
import hashlib
import hmac
import json
import time

from chalicelib.core.errors import Invalid
from chalicelib.core.pagination import Place
from chalicelib.security.signing_keys import signing_keys

_MAC_BYTES = 16


def encode(place: Place, scope: str) -> str:
    """The cursor of a place. ``scope`` names all that it is bound to: path, query, role."""
    payload = json.dumps([place.position, place.back], separators=(",", ":")).encode()
    _, key = signing_keys().signing(time.time())
    return base64.urlsafe_b64encode(_mac(key, payload, scope) + payload).decode().rstrip("=")


def decode(cursor: str, scope: str) -> Place:
    """The place of a cursor.

    Raises Invalid for one that is not ours, or was made for another list.
    """
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != cursor:  # one spelling only
        data = b""
    mac, payload = data[:_MAC_BYTES], data[_MAC_BYTES:]
    trusted = signing_keys().trusted(time.time()).values()
    if not any(hmac.compare_digest(mac, _mac(key, payload, scope)) for key in trusted):
        raise Invalid.field("cursor", "invalid_cursor", "The cursor is not one of this list.")
    position, back = json.loads(payload)
    return Place(position, back)


def _mac(key: str, payload: bytes, scope: str) -> bytes:
    # A key of its own, so that nothing signed as a cursor could pass for a token.
    own_key = hmac.digest(key.encode(), b"eduflow cursor", hashlib.sha256)
    return hmac.digest(own_key, scope.encode() + b"\0" + payload, hashlib.sha256)[:_MAC_BYTES]
