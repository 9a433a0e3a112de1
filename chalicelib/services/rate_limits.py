"""Rate limits of registrations, emails and enrollments: counters that end by themselves.

An event is counted by a conditional write before it has an effect, so that of any number of concurrent ones only the
limit has it. If that write fails, so does the request. The limits are settings of the stage, the windows are not.
"""

import ipaddress
import math
import time

from chalicelib.core.config import settings
from chalicelib.core.errors import TooManyAttempts
from chalicelib.models.throttles import Quota, Throttle

LOGIN_WINDOW_SECONDS = 15 * 60
HOUR_SECONDS = 60 * 60
DAY_SECONDS = 24 * HOUR_SECONDS
VERIFICATION_INTERVAL_SECONDS = 60
VERIFICATIONS_PER_DAY = 10

_IPV6_NETWORK = 64  # the size of a household's network, RFC 6177


def count_registration(address: str) -> None:
    """Count a registration from an address.

    Raises:
        TooManyAttempts: The address has registered too often.
    """
    quota = Quota(f"registrations#{network_of(address)}", settings().registrations_per_address, HOUR_SECONDS)
    _count(quota, "registrations from this address")


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
    quota = Quota(f"email-changes#{user_id}", settings().email_changes_per_account, DAY_SECONDS)
    _count(quota, "changes of the email address")


def resets_of(user_id: str) -> Quota:
    """Return the quota of the emails to reset the password of an account."""
    return Quota(f"resets#{user_id}", settings().password_resets_per_account, HOUR_SECONDS)


def verifications_of(user_id: str) -> tuple[Quota, Quota]:
    """Return the quotas of the emails that a user requests to verify an address: one a minute, and some a day."""
    return (
        Quota(f"verifications#{user_id}", 1, VERIFICATION_INTERVAL_SECONDS),
        Quota(f"daily-verifications#{user_id}", VERIFICATIONS_PER_DAY, DAY_SECONDS),
    )


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
    require_left_in(current_window(quota, int(time.time())), quota, message)


def require_left_in(window: Throttle | None, quota: Quota, message: str) -> None:
    """Check a quota by its window, which can be over.

    Raises:
        TooManyAttempts: It is used up.
    """
    seconds = math.ceil(window.expires_at - time.time()) if window else 0
    if window and seconds > 0 and window.reserved >= quota.limit:
        raise TooManyAttempts(message, seconds)


def current_window(quota: Quota, now: int) -> Throttle | None:
    """Return the window of a quota, or None if there is none; one that is over is deleted."""
    window = Throttle.find(quota.subject)
    if window is None or window.expires_at > now:
        return window
    window.delete_expired()
    return None


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
    now = int(time.time())
    result = Throttle.reserve(quota, now)
    if isinstance(result, Throttle):
        raise TooManyAttempts(f"Too many {what}. Retry later.", math.ceil(result.expires_at - now))
