"""Rate limit of password attempts per account and per client address.

An attempt is reserved by a conditional write before the password is verified, so that of any number of concurrent
attempts only the limit is verified. If that write fails, so does the request. An attempt that ends with an exception
is released; one whose process died is released when no request of its time is running.
"""

import hashlib
import ipaddress
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chalicelib.core.errors import TooManyAttempts
from chalicelib.core.retries import Backoff, WaitBudget
from chalicelib.core.retry_policy import API_TIMEOUT_SECONDS
from chalicelib.models.throttles import Reservation, Throttle
from chalicelib.observability.logs import error_log

WINDOW_SECONDS = 15 * 60
ACCOUNT_LIMIT = 10
ADDRESS_LIMIT = 300  # a school shares one address

_WAIT_SECONDS = 1
_BACKOFF_CAP_SECONDS = 0.2
_ABANDONED_AFTER_SECONDS = API_TIMEOUT_SECONDS + 1
_IPV6_NETWORK = 64  # the size of a household's network, RFC 6177


@dataclass
class Attempt:
    """A password attempt. The caller sets whether it succeeded."""

    succeeded: bool = False


@contextmanager
def password_attempt(*, user_id: str | None, name: str, address: str) -> Iterator[Attempt]:
    """Reserve one password attempt for an account (or unknown username) and a client address.

    Raises:
        TooManyAttempts: The account or address has no attempt left.
    """
    budget = WaitBudget(_WAIT_SECONDS)
    account = _reserve(_account_key(user_id, name), ACCOUNT_LIMIT, budget)
    reservations = [account]
    attempt = Attempt()
    try:
        reservations.append(_reserve(_address_key(address), ADDRESS_LIMIT, budget))
        yield attempt
    except BaseException:
        _release(reservations)  # the response does not reveal whether the password is correct
        raise
    for reservation in reservations:
        Throttle.settle(reservation, succeeded=attempt.succeeded)


def _reserve(subject: str, limit: int, budget: WaitBudget) -> Reservation:
    """Reserve an attempt, waiting for attempts in progress if they hold all that are left: they may succeed."""
    backoff = Backoff(_BACKOFF_CAP_SECONDS, budget)
    while True:
        now = int(time.time())
        reservation = Throttle.reserve(subject, limit=limit, now=now, window=WINDOW_SECONDS)
        if reservation:
            return reservation
        window = Throttle.find(subject)
        if window is None:
            continue
        if window.expires_at <= now:
            window.delete_expired()
        elif window.failed >= limit:
            raise TooManyAttempts("Too many failed attempts. Retry later.", math.ceil(window.expires_at - now))
        elif window.reserved >= limit and now - window.reserved_at > _ABANDONED_AFTER_SECONDS:
            window.release_abandoned()
        else:
            backoff.wait(TooManyAttempts("Too many concurrent attempts. Retry shortly.", 1))


def _release(reservations: list[Reservation]) -> None:
    for reservation in reservations:
        try:
            Throttle.settle(reservation, succeeded=True)
        except Exception:
            error_log.exception("A login attempt stays reserved", seconds=_ABANDONED_AFTER_SECONDS)


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
