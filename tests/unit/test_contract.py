"""The numbers of the contract, written out: lifetimes, limits and sizes."""

from datetime import timedelta

import pytest

from chalicelib.adapters.cache import client as cache_client
from chalicelib.adapters.cache import invalidation, read_through, switch
from chalicelib.core import pagination, retry_policy
from chalicelib.core.config import settings
from chalicelib.handlers import authorizer
from chalicelib.models import course_listings
from chalicelib.security import passwords, signing_keys, tokens
from chalicelib.services import lesson_listing, password_attempts, rate_limits
from chalicelib.web import requests

MINUTE, DAY = 60, 24 * 60 * 60


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        # Accounts
        (tokens.LIFETIME_SECONDS[tokens.TokenType.ACCESS], 30 * MINUTE),
        (tokens.LIFETIME_SECONDS[tokens.TokenType.REFRESH], 7 * DAY),
        (passwords.MIN_LENGTH, 8),
        (passwords.MAX_LENGTH, 128),
        (settings().failed_logins_per_account, 10),
        (settings().failed_logins_per_address, 300),
        (settings().logins_per_account, 60),
        (rate_limits.LOGIN_WINDOW_SECONDS, 15 * MINUTE),
        (password_attempts.KNOWN_ADDRESS_SECONDS, 30 * DAY),
        (settings().registrations_per_address, 300),
        (settings().enrollments_per_student, 60),
        (rate_limits.HOUR_SECONDS, 60 * MINUTE),
        (settings().reenrollments_per_course, 3),
        (rate_limits.DAY_SECONDS, DAY),
        # Bodies, lists and search
        (requests.MAX_BODY_BYTES, 2 * 1024 * 1024),
        (course_listings.MAX_KEYWORDS, 60),
        # Deferred work
        (retry_policy.TOMBSTONE_RETENTION, timedelta(days=1)),
        (retry_policy.INACTIVE_RETENTION, timedelta(days=30)),
        (retry_policy.API_TIMEOUT_SECONDS, 29),
        # The caches: docs/caches.md
        (read_through.TTL_SECONDS, 300),
        (read_through.NEGATIVE_TTL_SECONDS, 10),
        (switch.COPY_SECONDS, 1),
        (switch.OFF_SECONDS, 60),
        # The keys: docs/security.md
        (signing_keys.CACHE_SECONDS, 300),
        (signing_keys.MIN_KEY_BYTES, 32),
    ],
)
def test_number(actual: object, expected: object) -> None:
    assert actual == expected


def test_nothing_signed_outlives_its_key() -> None:
    assert max(tokens.LIFETIME_SECONDS.values()) == signing_keys.MAX_TOKEN_LIFETIME_SECONDS == 7 * DAY


def test_no_reader_waits_longer_than_three_seconds_for_another() -> None:
    timeouts = cache_client.CONNECT_TIMEOUT_SECONDS + cache_client.TLS_HANDSHAKE_TIMEOUT_SECONDS

    assert read_through.LEASE_WAIT_SECONDS + timeouts + 2 * cache_client.READ_TIMEOUT_SECONDS < 3


def test_write_marker_outlives_every_function_that_writes() -> None:
    assert retry_policy.CACHE_WRITE_MARKER_TTL_SECONDS > 60


def test_no_write_waits_longer_than_three_seconds_for_the_cache() -> None:
    attempt = cache_client.CONNECT_TIMEOUT_SECONDS + cache_client.READ_TIMEOUT_SECONDS
    switched_off = switch.State(off_since=0.0)

    assert 2 * attempt + 0.1 + switched_off.known_at < 3


def test_cache_stays_off_while_a_write_is_on_its_way() -> None:
    assert retry_policy.API_TIMEOUT_SECONDS < invalidation._LONGEST_WRITE_SECONDS < switch.OFF_SECONDS
    assert read_through.GENERATION_TTL_SECONDS > read_through.TTL_SECONDS


def test_full_page_fits_into_a_response_of_lambda() -> None:
    """JSON within JSON takes up to twice its bytes; 100 items of 10 kB at most are added after the size is reached."""
    assert 2 * pagination.MAX_PAGE_BYTES + 1_000_000 <= 6 * 1024 * 1024


def test_policy_of_the_authorizer_is_cached_for_five_minutes_at_most() -> None:
    assert authorizer.CACHE_SECONDS <= 300


def test_page_across_courses_reads_few_courses() -> None:
    assert lesson_listing.MAX_COURSES_PER_PAGE <= 20
