"""Emails about accounts are saved and counted together."""

import pytest

from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import TooManyAttempts
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.base import ConditionFailed
from chalicelib.models.throttles import Quota, Throttle
from chalicelib.services import email_requests

USER = "u" * 16
QUOTA = Quota("verifications#u", limit=2, window=3600)


def count() -> int:
    window = Throttle.find(QUOTA.subject)
    assert window is not None
    return int(window.reserved)


def test_email_saved_before_is_not_counted_again(aws: None) -> None:
    email = email_requests.create(USER, EmailKind.VERIFICATION)
    email_requests.save_within([QUOTA], email)

    with pytest.raises(ConditionFailed):
        email_requests.save_within([QUOTA], email)

    assert count() == 1


def test_email_beyond_the_quota_is_not_saved(aws: None) -> None:
    for _ in range(2):
        email_requests.save_within([QUOTA], email_requests.create(USER, EmailKind.VERIFICATION))

    with pytest.raises(TooManyAttempts):
        email_requests.save_within([QUOTA], email_requests.create(USER, EmailKind.VERIFICATION))

    assert (count(), len([*AccountEmail.all_of_user(USER)])) == (2, 2)
