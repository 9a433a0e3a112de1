"""Rate limits of passwords, of tickets, and of logins.

Each attempt is reserved before the password is verified. So concurrent attempts cannot exceed the limit.
"""

import hashlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from chalicelib.core.config import settings
from chalicelib.core.errors import TooManyAttempts
from chalicelib.core.retries import Backoff, WaitBudget
from chalicelib.core.retry_policy import API_TIMEOUT_SECONDS
from chalicelib.models.base import (
    Extend,
    Transaction,
    access_together,
    add_nothing,
    get_together,
    retry_stale_reads,
)
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.throttles import Quota, Reservation, Throttle
from chalicelib.models.users import User
from chalicelib.observability.logs import error_log
from chalicelib.services.rate_limits import DAY_SECONDS, LOGIN_WINDOW_SECONDS, network_of

KNOWN_ADDRESS_SECONDS = 30 * DAY_SECONDS

_WAIT_SECONDS = 1
_BACKOFF_CAP_SECONDS = 0.2
_ABANDONED_AFTER_SECONDS = API_TIMEOUT_SECONDS + 1
_UNKNOWN_USER_ID = "#unknown"  # not a valid ID: looked up for an unknown user, so that both take the same time


@dataclass
class Attempt:
    """A password attempt. The caller sets whether it succeeded, and a call that runs while it is released."""

    user: User | None  # None: unknown, or erased
    network: str
    address_known_until: float  # Unix seconds
    last_logins: Throttle | None  # the last window of the account's logins, which may be over
    succeeded: bool = False
    on_success: Callable[[], None] | None = None


@dataclass
class TicketAttempt:
    """An attempt to use a ticket. The caller sets whether it succeeded."""

    succeeded: bool = False


@contextmanager
def password_attempt(*, user_id: str | None, name: str, address: str) -> Iterator[Attempt]:
    """Reserve one password attempt for an account (or unknown username) and a client address.

    An address with a successful login to the account in the last 30 days has an allowance of its own, so that no one
    else can use it up (OWASP ASVS 5.0, 6.1.1: no malicious lockout). An attempt that ends with an exception is
    released; one whose process died is released when no request of its time is running.

    Whether the address is known is read while both allowances are reserved. The one that does not apply is released
    with the other, and nothing waits for it.

    Raises:
        TooManyAttempts: The account or address has no attempt left.
        Exception: That of ``on_success``. All reservations are released before.
    """
    network = network_of(address)
    of_all, of_network = _account_quota(user_id, name, None), _account_quota(user_id, name, network)
    of_address = _address_quota(network)
    reservations: dict[Quota, Reservation] = {}
    used_up: dict[Quota, Throttle] = {}

    def try_to_reserve(quota: Quota) -> None:
        result = Throttle.reserve(quota, int(time.time()))
        if isinstance(result, Reservation):
            reservations[quota] = result
        else:
            used_up[quota] = result

    try:
        reserve = [partial(try_to_reserve, quota) for quota in (of_all, of_network, of_address)]
        calls: list[Callable[[], Any]] = [partial(_read_account, user_id, name, network), *reserve]
        user, known, last_logins = access_together([User, KnownAddress, Throttle], calls)[0]
        is_known = known is not None and known.expires_at > time.time()
        counted = (of_network if is_known else of_all, of_address)
        budget = WaitBudget(_WAIT_SECONDS)
        for quota in counted:
            if quota in used_up:
                reservations[quota] = _wait_for_reservation(quota, used_up[quota], budget)
        attempt = Attempt(user, network, known.expires_at if known else 0, last_logins)
        yield attempt
    except BaseException:
        _release(reservations.values())  # the response does not reveal whether the password is correct
        raise
    _settle(attempt, reservations, counted)


@contextmanager
def ticket_attempt(address: str) -> Iterator[TicketAttempt]:
    """Reserve an attempt to use a ticket, of those that a client address has for passwords; otherwise as these.

    Raises:
        TooManyAttempts: The address has no attempt left.
    """
    quota, attempt = _address_quota(network_of(address)), TicketAttempt()
    result = Throttle.reserve(quota, int(time.time()))
    if isinstance(result, Throttle):
        result = _wait_for_reservation(quota, result, WaitBudget(_WAIT_SECONDS))
    try:
        yield attempt
    except BaseException:
        _release_one(result)
        raise
    if attempt.succeeded:
        _release_one(result)
    else:
        Throttle.settle(result, succeeded=False)


def add_login(transaction: Transaction, user_id: str, attempt: Attempt) -> Quota:
    """Count a successful login in a transaction, with its quota as the label, and return the quota.

    The transaction also stores the address as known: once a day, however often the user logs in.
    """
    now = int(time.time())
    quota = _logins_of(user_id)
    is_over = attempt.last_logins is not None and attempt.last_logins.expires_at <= now
    (Throttle.add_start if is_over else Throttle.add_reservation)(transaction, quota, now)
    expires_at = now + KNOWN_ADDRESS_SECONDS + DAY_SECONDS  # later logins of the day do not renew it
    if attempt.address_known_until < expires_at - DAY_SECONDS:
        transaction.put(KnownAddress.of(user_id, attempt.network, expires_at))
    return quota


def unlock(user_id: str, extend: Extend = add_nothing) -> int:
    """Delete the windows of an account's password attempts and logins, and return how many there were.

    If there are any, ``extend`` adds an item to the transaction that deletes them.
    """
    networks = [address.network for address in KnownAddress.all_of_user(user_id)]
    subjects = [_account_quota(user_id, "", network).subject for network in (None, *networks)]
    subjects.append(_logins_of(user_id).subject)
    return retry_stale_reads(lambda: Throttle.delete_all(subjects, extend))


def _read_account(
    user_id: str | None, name: str, network: str
) -> tuple[User | None, KnownAddress | None, Throttle | None]:
    """Return the user unless erased, the row of the network, and the last window of the user's logins, by one call."""
    id_to_read = user_id or _UNKNOWN_USER_ID
    user, known, last_logins = get_together(
        (User, (id_to_read,)),
        (KnownAddress, KnownAddress.key(user_id or _name_key(name), network)),
        (Throttle, (_logins_of(id_to_read).subject,)),
    )
    return None if user is None or user.deleted_at else user, known, last_logins


def _wait_for_reservation(quota: Quota, window: Throttle, budget: WaitBudget) -> Reservation:
    """Reserve an attempt once attempts in progress, which hold all that are left in a window, have succeeded."""
    backoff = Backoff(_BACKOFF_CAP_SECONDS, budget)
    while True:
        now = int(time.time())
        if window.failed >= quota.limit:
            raise TooManyAttempts("Too many failed attempts. Retry later.", max(1, math.ceil(window.expires_at - now)))
        if now - window.reserved_at > _ABANDONED_AFTER_SECONDS:
            window.release_abandoned()
        else:
            backoff.wait(TooManyAttempts("Too many concurrent attempts. Retry shortly.", 1))
        result = Throttle.reserve(quota, int(time.time()))
        if isinstance(result, Reservation):
            return result
        window = result


def _settle(attempt: Attempt, reservations: dict[Quota, Reservation], counted: Collection[Quota]) -> None:
    """Record the result of an attempt in its counted reservations, release the others, and run ``on_success``."""
    if attempt.succeeded:
        released = [*reservations.values()]
        calls = [attempt.on_success] if attempt.on_success else []
    else:
        released = [reservation for quota, reservation in reservations.items() if quota not in counted]
        calls = [partial(Throttle.settle, reservations[quota], succeeded=False) for quota in counted]
    calls += [partial(_release_one, reservation) for reservation in released]
    access_together([Throttle], calls)


def _release(reservations: Collection[Reservation]) -> None:
    if reservations:
        access_together([Throttle], [partial(_release_one, reservation) for reservation in reservations])


def _release_one(reservation: Reservation) -> None:
    """Release an attempt. A failure is logged: it neither replaces an error nor refuses a login that succeeded."""
    try:
        Throttle.settle(reservation, succeeded=True)
    except Exception:
        error_log.exception("A login attempt stays reserved", seconds=_ABANDONED_AFTER_SECONDS)


def _account_quota(user_id: str | None, name: str, network: str | None) -> Quota:
    """Return the quota of an account, whichever name was used; with a network, that of the network alone."""
    subject = f"user#{user_id}" if user_id else _name_key(name)
    if network is not None:
        subject += f"#{network}"
    return Quota(subject, settings().failed_logins_per_account, LOGIN_WINDOW_SECONDS)


def _name_key(name: str) -> str:
    """Return the key of an unknown name. It is hashed: users type passwords there."""
    return f"name#{hashlib.sha256(name.lower().encode()).hexdigest()}"


def _logins_of(user_id: str) -> Quota:
    return Quota(f"logins#{user_id}", settings().logins_per_account, LOGIN_WINDOW_SECONDS)


def _address_quota(network: str) -> Quota:
    return Quota(f"address#{network}", settings().failed_logins_per_address, LOGIN_WINDOW_SECONDS)
