"""Who may enroll in a course: current students with a verified address, if this stage requires one, within limits.

The rules are conditions of the write, so that no write outlives a change of the account. `require` checks them by
reads, before a write that cannot be taken back.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from chalicelib.core.config import settings
from chalicelib.core.errors import Conflict, DomainError, FieldError, Forbidden, NotAuthenticated
from chalicelib.core.roles import Role
from chalicelib.models.base import ConditionFailed, Transaction, access_together, get_together
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.throttles import Quota, Throttle
from chalicelib.models.users import User
from chalicelib.services import rate_limits

_STUDENT = "student"


def add_conditions(student: str, course: str, transaction: Transaction) -> None:
    """Add the rules to a transaction, and count the enrollment for the hourly limit."""
    hourly, withdrawals = _quotas(student, course)
    now = int(time.time())
    add_account_condition(student, transaction)
    Throttle.add_reservation(transaction, hourly, now)
    Throttle.add_check(transaction, withdrawals, now)


def add_account_condition(student: str, transaction: Transaction) -> None:
    """Add the rules about the account to a transaction."""
    may_enroll = User.is_current(Role.STUDENT)
    if settings().is_email_verification_required:
        may_enroll &= User.email_verified == True  # noqa: E712  of PynamoDB
    transaction.check(User, student, may_enroll, label=_STUDENT)


def raise_refusal(student: str, course: str, error: ConditionFailed) -> None:
    """Raise why the rules refused a transaction; return if it can be repeated, because a window was over.

    Raises:
        NotAuthenticated: The student was deactivated or erased, or has another role now.
        Forbidden: The student's email address is not verified.
        TooManyAttempts: The student has enrolled too often.
    """
    if _STUDENT in error.failed:
        raise _refusal(User.find(student)) from error
    for quota, message in zip(_quotas(student, course), _MESSAGES, strict=True):
        rate_limits.require_left(quota, message)


def require(student: str, course: str) -> None:
    """Check the rules, and that the student neither is enrolled nor waits, in one round trip of consistent reads.

    Raises:
        Conflict: The student is enrolled, or waits for a place.
        NotAuthenticated, Forbidden, TooManyAttempts: As `raise_refusal` does.
    """
    quotas = _quotas(student, course)
    reads: list[Callable[[], Any]] = [
        partial(get_together, (Enrollment, (student, course)), (User, (student,))),
        partial(Throttle.find_all, [quota.subject for quota in quotas]),
    ]
    (enrollment, user), windows = access_together([Enrollment, Throttle], reads)
    if enrollment:
        raise already_enrolled()
    if not (_is_current_student(user) and _has_required_email(user)):
        raise _refusal(user)
    for quota, message in zip(quotas, _MESSAGES, strict=True):
        rate_limits.require_left_in(windows.get(quota.subject), quota, message)


def already_enrolled() -> Conflict:
    """Return the error of who is enrolled in a course or waits for a place."""
    return Conflict("You are already enrolled in this course.")


_MESSAGES = ("Too many enrollments. Retry later.", "You left this course too often. Retry later.")


def _quotas(student: str, course: str) -> tuple[Quota, Quota]:
    return rate_limits.enrollments_of(student), rate_limits.withdrawals_from(student, course)


def _is_current_student(user: User | None) -> bool:
    return user is not None and not user.deleted_at and user.is_active and user.role == Role.STUDENT


def _has_required_email(user: User) -> bool:
    return bool(user.email_verified or not settings().is_email_verification_required)


def _refusal(user: User | None) -> DomainError:
    """Return why an account may not enroll."""
    if not _is_current_student(user):
        return NotAuthenticated.outdated()
    message = "Verify your email address before you enroll."
    return Forbidden(message, (FieldError("email", "email_unverified", message),))
