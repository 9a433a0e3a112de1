"""Rate limits of passwords, logins, emails and enrollments: counters that end by themselves.

An event is counted by a conditional write before it has an effect, so that of any number of concurrent ones only the
limit has it. If that write fails, so does the request. The limits are settings of the stage, the windows are not.
"""

import hashlib
import ipaddress
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chalicelib.core.config import settings
from chalicelib.core.errors import TooManyAttempts
from chalicelib.core.retries import Backoff, WaitBudget
from chalicelib.core.retry_policy import API_TIMEOUT_SECONDS
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.throttles import Quota, Reservation, Throttle
from chalicelib.observability.logs import error_log

LOGIN_WINDOW_SECONDS = 15 * 60
HOUR_SECONDS = 60 * 60
DAY_SECONDS = 24 * HOUR_SECONDS
VERIFICATION_INTERVAL_SECONDS = 60
KNOWN_ADDRESS_SECONDS = 30 * DAY_SECONDS

_WAIT_SECONDS = 1
_BACKOFF_CAP_SECONDS = 0.2
_ABANDONED_AFTER_SECONDS = API_TIMEOUT_SECONDS + 1
_IPV6_NETWORK = 64  # the size of a household's network, RFC 6177


@dataclass
class Attempt:
    """A password attempt. The caller sets whether it succeeded."""

    address_known_until: float  # Unix seconds
    succeeded: bool = False


@contextmanager
def password_attempt(*, user_id: str | None, name: str, address: str) -> Iterator[Attempt]:
    """Reserve one password attempt for an account (or unknown username) and a client address.

    An address with a successful login to the account in the last 30 days has an allowance of its own, so that no one
    else can use it up (OWASP ASVS 5.0, 6.1.1: no malicious lockout). An attempt that ends with an exception is
    released; one whose process died is released when no request of its time is running.

    Raises:
        TooManyAttempts: The account or address has no attempt left.
    """
    budget = WaitBudget(_WAIT_SECONDS)
    network = network_of(address)
    known = KnownAddress.find(user_id, network) if user_id else KnownAddress.find(_name_key(name), network)
    account = _account_quota(user_id, name, network if known and known.expires_at > time.time() else None)
    reservations = [_reserve(account, budget)]
    attempt = Attempt(known.expires_at if known else 0)
    try:
        reservations.append(_reserve(_address_quota(network), budget))
        yield attempt
    except BaseException:
        _release(reservations)  # the response does not reveal whether the password is correct
        raise
    for reservation in reservations:
        Throttle.settle(reservation, succeeded=attempt.succeeded)


@contextmanager
def ticket_attempt(address: str) -> Iterator[Attempt]:
    """Reserve an attempt to use a ticket, of those that a client address has for passwords; otherwise as these.

    Raises:
        TooManyAttempts: The address has no attempt left.
    """
    reservation = _reserve(_address_quota(network_of(address)), WaitBudget(_WAIT_SECONDS))
    attempt = Attempt(0)
    try:
        yield attempt
    except BaseException:
        _release([reservation])
        raise
    Throttle.settle(reservation, succeeded=attempt.succeeded)


def count_login(user_id: str, address: str, attempt: Attempt) -> None:
    """Count a successful login of an account, and remember its address: one write a day, however often they log in.

    Raises:
        TooManyAttempts: The account has logged in too often.
    """
    _count(Quota(f"logins#{user_id}", settings().logins_per_account, LOGIN_WINDOW_SECONDS), "logins")
    expires_at = int(time.time()) + KNOWN_ADDRESS_SECONDS + DAY_SECONDS  # later logins of the day do not renew it
    if attempt.address_known_until < expires_at - DAY_SECONDS:
        KnownAddress.remember(user_id, network_of(address), expires_at)


def count_registration(address: str) -> None:
    """Count a registration from an address.

    Raises:
        TooManyAttempts: The address has registered too often.
    """
    limit = settings().registrations_per_address
    _count(Quota(f"registrations#{network_of(address)}", limit, HOUR_SECONDS), "registrations from this address")


def count_reset_request(address: str) -> None:
    """Count a request from an address to reset a password, whoever's it is.

    Raises:
        TooManyAttempts: The address has requested too many.
    """
    quota = Quota(f"reset-requests#{network_of(address)}", settings().password_resets_per_address, LOGIN_WINDOW_SECONDS)
    _count(quota, "password resets from this address")


def count_email_change(user_id: str) -> None:
    """Count a change of a user's own email address, successful or not: it sends emails, and reveals taken addresses.

    Raises:
        TooManyAttempts: The user has changed it too often.
    """
    quota = Quota(f"email-changes#{user_id}", settings().email_changes_per_account, HOUR_SECONDS)
    _count(quota, "changes of the email address")


def resets_of(user_id: str) -> Quota:
    """Return the quota of the emails to reset the password of an account."""
    return Quota(f"resets#{user_id}", settings().password_resets_per_account, HOUR_SECONDS)


def verifications_of(user_id: str) -> Quota:
    """Return the quota of the emails that a user requests to verify an address."""
    return Quota(f"verifications#{user_id}", 1, VERIFICATION_INTERVAL_SECONDS)


def enrollments_of(student: str) -> Quota:
    """Return the quota of a student's enrollments."""
    return Quota(f"enrollments#{student}", settings().enrollments_per_student, HOUR_SECONDS)


def withdrawals_from(student: str, course: str) -> Quota:
    """Return the quota of a student's withdrawals from a course. Beyond it, the student cannot enroll again.

    As every enrollment leads to an email, it limits the emails of one course to one address.
    """
    return Quota(f"withdrawals#{student}#{course}", settings().reenrollments_per_course + 1, DAY_SECONDS)


def require_left(quota: Quota, message: str) -> None:
    """Check a quota after the condition of a write that counts it failed; a window that is over is deleted.

    Raises:
        TooManyAttempts: It is used up.
    """
    now = int(time.time())
    window = current_window(quota, now)
    if window and window.reserved >= quota.limit:
        raise TooManyAttempts(message, math.ceil(window.expires_at - now))


def current_window(quota: Quota, now: int) -> Throttle | None:
    """Return the window of a quota, or None if there is none; one that is over is deleted."""
    window = Throttle.find(quota.subject)
    if window is None or window.expires_at > now:
        return window
    window.delete_expired()
    return None


def unlock(user_id: str) -> int:
    """Delete the windows of an account's password attempts and logins, and return how many there were."""
    networks = [address.network for address in KnownAddress.all_of_user(user_id)]
    subjects = [_account_quota(user_id, "", network).subject for network in (None, *networks)]
    return sum(Throttle.forget(subject) for subject in (*subjects, f"logins#{user_id}"))


def network_of(address: str) -> str:
    """Return the network that counts as one client: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))
    return str(parsed)


def _count(quota: Quota, what: str) -> None:
    while not Throttle.reserve(quota, int(time.time())):
        require_left(quota, f"Too many {what}. Retry later.")


def _reserve(quota: Quota, budget: WaitBudget) -> Reservation:
    """Reserve an attempt, waiting for attempts in progress if they hold all that are left: they may succeed."""
    backoff = Backoff(_BACKOFF_CAP_SECONDS, budget)
    while True:
        now = int(time.time())
        reservation = Throttle.reserve(quota, now)
        if reservation:
            return reservation
        window = current_window(quota, now)
        if window is None:
            continue
        if window.failed >= quota.limit:
            raise TooManyAttempts("Too many failed attempts. Retry later.", math.ceil(window.expires_at - now))
        elif window.reserved >= quota.limit and now - window.reserved_at > _ABANDONED_AFTER_SECONDS:
            window.release_abandoned()
        else:
            backoff.wait(TooManyAttempts("Too many concurrent attempts. Retry shortly.", 1))


def _release(reservations: list[Reservation]) -> None:
    for reservation in reservations:
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


def _address_quota(network: str) -> Quota:
    return Quota(f"address#{network}", settings().failed_logins_per_address, LOGIN_WINDOW_SECONDS)
