"""Throttling of guesses at passwords: per account and per address, taken before any work is done.

An attempt is taken by a conditional write, so that of a thousand at once no more than the limit
get to the password. If that write fails, so does the request: nothing is let through unseen.
"""

import hashlib
import ipaddress
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chalicelib.core.errors import Throttled
from chalicelib.models.throttles import Taken, Throttle

WINDOW_SECONDS = 15 * 60
ACCOUNT_LIMIT = 10
ADDRESS_LIMIT = 300  # a school sits behind one

_PATIENCE_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 0.2
_IPV6_NETWORK = 64  # what one household gets, RFC 6177


@dataclass
class Attempt:
    """A guess; whoever makes it says whether it was good."""

    good: bool = False


@contextmanager
def guess(*, user_id: str | None, name: str, address: str) -> Iterator[Attempt]:
    """Make one guess at the password of a user, or of a name that nobody has, from an address.

    A guess that ends with an exception stays taken until the window is over.

    Raises Throttled when the account or the address has failed too often.
    """
    account = _take(_account(user_id, name), ACCOUNT_LIMIT)
    try:
        origin = _take(_origin(address), ADDRESS_LIMIT)
    except Throttled:
        Throttle.settle(account, good=True)  # it was not guessed at
        raise
    attempt = Attempt()
    yield attempt
    for taken in (account, origin):
        Throttle.settle(taken, good=attempt.good)


def _take(subject: str, limit: int) -> Taken:
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        now = int(time.time())
        taken = Throttle.take(subject, limit=limit, now=now, window=WINDOW_SECONDS)
        if taken:
            return taken
        window = Throttle.find(subject)
        if window is not None and window.expires_at <= now:
            window.forget()
        elif window is not None and window.failed >= limit:
            raise Throttled("Too many failed attempts: try again later.", math.ceil(window.expires_at - now))
        elif time.monotonic() > end:
            raise Throttled("Too many attempts at once: try again in a moment.", 1)
        else:  # those at work may yet be good
            time.sleep(random.uniform(0, _LONGEST_WAIT_SECONDS))


def _account(user_id: str | None, name: str) -> str:
    """A user is one, by whichever name; what nobody has is kept as a hash: people type passwords there."""
    return f"user#{user_id}" if user_id else f"name#{hashlib.sha256(name.lower().encode()).hexdigest()}"


def _origin(address: str) -> str:
    """An address; of IPv6 the network, whose every address is the same person's."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"address#{address}"
    if parsed.version == 6:
        return f"address#{ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False)}"
    return f"address#{parsed}"
