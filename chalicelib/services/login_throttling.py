"""Rate limit of password attempts per account and per client address.

An attempt is reserved by a conditional write before the password is verified, so that of any number of concurrent
attempts only the limit is verified. If that write fails, so does the request.
"""

import hashlib
import ipaddress
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chalicelib.core.errors import TooManyAttempts
from chalicelib.models.throttles import Reservation, Throttle

WINDOW_SECONDS = 15 * 60
ACCOUNT_LIMIT = 10
ADDRESS_LIMIT = 300  # a school shares one address

_WAIT_SECONDS = 2.5  # no request waits longer than 3 seconds for others
_BACKOFF_CAP_SECONDS = 0.2
_IPV6_NETWORK = 64  # the size of a household's network, RFC 6177


@dataclass
class Attempt:
    """A password attempt. The caller sets whether it succeeded."""

    succeeded: bool = False


@contextmanager
def password_attempt(*, user_id: str | None, name: str, address: str) -> Iterator[Attempt]:
    """Reserve one password attempt for an account (or unknown username) and a client address.

    An attempt that ends with an exception stays reserved until its window is over.

    Raises:
        TooManyAttempts: The account or address has no attempt left.
    """
    account = _reserve(_account_key(user_id, name), ACCOUNT_LIMIT)
    try:
        client = _reserve(_address_key(address), ADDRESS_LIMIT)
    except TooManyAttempts:
        Throttle.settle(account, succeeded=True)  # release it: no password was verified
        raise
    attempt = Attempt()
    yield attempt
    for reservation in (account, client):
        Throttle.settle(reservation, succeeded=attempt.succeeded)


def _reserve(subject: str, limit: int) -> Reservation:
    """Reserve an attempt, waiting for attempts in progress if they hold all that are left: they may succeed."""
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        now = int(time.time())
        reservation = Throttle.reserve(subject, limit=limit, now=now, window=WINDOW_SECONDS)
        if reservation:
            return reservation
        window = Throttle.find(subject)
        if window is not None and window.expires_at <= now:
            window.delete_expired()
        elif window is not None and window.failed >= limit:
            raise TooManyAttempts("Too many failed attempts. Retry later.", math.ceil(window.expires_at - now))
        elif time.monotonic() > end:
            raise TooManyAttempts("Too many concurrent attempts. Retry shortly.", 1)
        else:
            time.sleep(random.uniform(0, _BACKOFF_CAP_SECONDS))


def _account_key(user_id: str | None, name: str) -> str:
    """Return the key of an account, whichever name was used. An unknown name is hashed: users type passwords there."""
    return f"user#{user_id}" if user_id else f"name#{hashlib.sha256(name.lower().encode()).hexdigest()}"


def _address_key(address: str) -> str:
    """Return the key of a client address; for IPv6 that of its network, all of which one client has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"address#{address}"
    if parsed.version == 6:
        return f"address#{ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False)}"
    return f"address#{parsed}"
