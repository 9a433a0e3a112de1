"""The errors of accounts and their emails, sessions, users and reports, as clients get them."""

from datetime import date
from unittest.mock import Mock

import pytest

from chalicelib.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    TooManyAttempts,
)
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.base import ConditionFailed
from chalicelib.models.identities import Identity
from chalicelib.models.sessions import Session
from chalicelib.models.throttles import Throttle
from chalicelib.models.users import IdentityTaken, LastAdmin, OwnsPublishedCourses, User
from chalicelib.security import passwords
from chalicelib.services import (
    account_recovery,
    accounts,
    password_attempts,
    rate_limits,
    reports,
    sessions,
    unsubscription,
    users,
)
from tests.unit.services.error_cases import (
    ACTIVE,
    ID,
    NO_ACCOUNT,
    NO_PASSWORD,
    NOW,
    OWNER,
    PASSWORD,
    STUDENT,
    USER,
    Case,
    assert_error,
    gives,
    raises,
)

pytestmark = pytest.mark.usefixtures("no_aws")

CASES: list[Case] = [
    # Accounts
    (
        {},
        lambda: accounts.register("ada", "a@b.org", PASSWORD, Role.ADMIN),
        InvalidInput,
        "The input is invalid.",
        [("role", "invalid_choice", "The role `admin` cannot be self-assigned.")],
    ),
    (
        {(Identity, "find_user_id"): gives(None), (User, "create"): raises(IdentityTaken(frozenset({"username"})))},
        lambda: accounts.register("ada", "a@b.org", PASSWORD, Role.STUDENT),
        Conflict,
        "The account already exists.",
        [("username", "unique", "A user with that username already exists.")],
    ),
    (
        {(Identity, "find_user_id"): gives(None), (User, "create"): raises(IdentityTaken(frozenset({"email"})))},
        lambda: accounts.register("ada", "a@b.org", PASSWORD, Role.STUDENT),
        Conflict,
        "The account already exists.",
        [("email", "unique", "A user with that email address already exists.")],
    ),
    (
        {},
        lambda: accounts.register("ada", "a@b.org", "12345", Role.STUDENT),
        InvalidInput,
        "The password violates the password rules.",
        [
            (
                "password",
                "password_too_short",
                "This password is too short. It must contain at least 8 characters.",
            ),
            ("password", "password_too_common", "This password is too common."),
            ("password", "password_entirely_numeric", "This password is entirely numeric."),
        ],
    ),
    (
        {},
        lambda: accounts.register("ada.lovelace", "sphinx@quartz.org", "ada.lovelace" * 11, Role.STUDENT),
        InvalidInput,
        "The password violates the password rules.",
        [
            ("password", "password_too_long", "This password is too long. It must contain at most 128 characters."),
        ],
    ),
    (
        {},
        lambda: accounts.register("ada.lovelace", "ada.lovelace@quartz.org", "ada.lovelace", Role.STUDENT),
        InvalidInput,
        "The password violates the password rules.",
        [
            ("password", "password_too_similar", "The password is too similar to the username."),
            ("password", "password_too_similar", "The password is too similar to the email address."),
        ],
    ),
    (
        ACTIVE | NO_PASSWORD,
        lambda: accounts.change_password(STUDENT, "wrong", PASSWORD, "192.0.2.1"),
        InvalidInput,
        "The input is invalid.",
        [("current", "password_incorrect", "The current password is incorrect.")],
    ),
    (
        ACTIVE | NO_PASSWORD | {(passwords, "verify_password"): gives(True)},
        lambda: accounts.change_password(STUDENT, PASSWORD, "my.student", "192.0.2.1"),
        InvalidInput,
        "The password violates the password rules.",
        [
            ("new", "password_too_similar", "The password is too similar to the username."),
            ("new", "password_too_similar", "The password is too similar to the email address."),
        ],
    ),
    (
        ACTIVE
        | NO_PASSWORD
        | {(passwords, "verify_password"): gives(True), (User, "change_password"): raises(ConditionFailed())},
        lambda: accounts.change_password(STUDENT, PASSWORD, "jackdaws love my sphinx", "192.0.2.1"),
        Conflict,
        "The account was changed concurrently. Retry.",
        [],
    ),
    (
        {(Session, "find_with_user"): gives((Mock(auth_version=1), None))},
        lambda: accounts.get_profile(STUDENT),
        NotAuthenticated,
        "The session was revoked.",
        [],
    ),
    (
        {(Session, "find_with_user"): gives((None, USER))},
        lambda: accounts.get_profile(STUDENT),
        NotAuthenticated,
        "The session was revoked.",
        [],
    ),
    # Sessions
    (
        NO_PASSWORD | {(Identity, "find_user_id"): gives(None)},
        lambda: sessions.login("ada", PASSWORD, "192.0.2.1"),
        NotAuthenticated,
        "Invalid credentials.",
        [],
    ),
    (
        {},
        lambda: sessions.logout("no token"),
        NotAuthenticated,
        "The refresh token is invalid or was used before.",
        [],
    ),
    (
        {
            **NO_ACCOUNT,
            (Throttle, "reserve"): gives(Throttle("s", reserved=10, failed=10, expires_at=2**40)),
            (Identity, "find_user_id"): gives(None),
        },
        lambda: sessions.login("ada", PASSWORD, "192.0.2.1"),
        TooManyAttempts,
        "Too many failed attempts. Retry later.",
        [],
    ),
    (
        {
            **NO_ACCOUNT,
            (Throttle, "reserve"): gives(Throttle("s", reserved=10, failed=9, reserved_at=2**40, expires_at=2**40)),
            (Identity, "find_user_id"): gives(None),
            (password_attempts, "_WAIT_SECONDS"): 0,
        },
        lambda: sessions.login("ada", PASSWORD, "192.0.2.1"),
        TooManyAttempts,
        "Too many concurrent attempts. Retry shortly.",
        [],
    ),
    # Users and reports
    ({}, lambda: users.list_users(OWNER, PageRequest(20)), Forbidden, "Only admins can do this.", []),
    ({(User, "find"): gives(None)}, lambda: users.erase(ID), NotFound, "User not found.", []),
    ({(User, "find"): raises(AssertionError())}, lambda: users.erase("no ID"), NotFound, "User not found.", []),
    (
        {(User, "find"): gives(USER), (User, "erase"): raises(LastAdmin())},
        lambda: users.erase(ID),
        Conflict,
        "This is the last active admin.",
        [],
    ),
    (
        {(User, "find"): gives(USER), (User, "erase"): raises(OwnsPublishedCourses())},
        lambda: users.erase(ID),
        Conflict,
        "The account owns published courses: unpublish or delete them first.",
        [],
    ),
    (
        {(User, "find"): gives(USER), (User, "apply"): raises(IdentityTaken(frozenset({"email"})))},
        lambda: users.apply_changes(ID, {"email": "b@example.org"}),
        Conflict,
        "The email address is already in use.",
        [("email", "unique", "A user with that email address already exists.")],
    ),
    (
        {},
        lambda: unsubscription.parse_token("x"),
        InvalidInput,
        "The input is invalid.",
        [("token", "invalid_token", "The link is incomplete.")],
    ),
    (
        {(Throttle, "reserve"): gives(Throttle("s", expires_at=2**40))},
        lambda: rate_limits.count_email_change(STUDENT.id),
        TooManyAttempts,
        "Too many changes of the email address. Retry later.",
        [],
    ),
    (
        {(accounts, "get_profile"): gives(User(STUDENT.id, email_verified=True))},
        lambda: account_recovery.request_verification(STUDENT),
        Conflict,
        "The email address is verified already.",
        [],
    ),
    (
        {(User, "first_joined"): gives("2026-11-20T09:30:00.000000Z")},
        lambda: [*reports.regenerate_from(date(2026, 11, 22), NOW)],
        InvalidInput,
        "The input is invalid.",
        [("date", "not_completed", "2026-11-22 is not completed yet (UTC).")],
    ),
    (
        {(User, "first_joined"): gives("2026-11-20T09:30:00.000000Z")},
        lambda: [*reports.regenerate_from(date(2026, 11, 19), NOW)],
        InvalidInput,
        "The input is invalid.",
        [("date", "too_early", "The first account was created on 2026-11-20.")],
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_error(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    assert_error(monkeypatch, case)
