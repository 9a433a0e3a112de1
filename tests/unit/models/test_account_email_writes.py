"""Emails about accounts that SES rejected."""

from datetime import UTC, datetime

from chalicelib.core.email_kinds import EmailKind
from chalicelib.models.account_emails import AccountEmail

AT = "2026-11-22T00:00:00.000000Z"


def test_failed_email_is_kept_for_30_days(aws: None) -> None:
    email = AccountEmail.new("u" * 16, EmailKind.VERIFICATION, AT, "request")
    email.save()

    email.mark_email_failed(AT, "MessageRejected")

    [row] = AccountEmail.all_of_user("u" * 16)
    assert (row.email_failed_at, row.email_error) == (AT, "MessageRejected")
    assert row.email_pending is None
    assert datetime.fromtimestamp(row.expires_at, UTC) == datetime(2026, 12, 22, tzinfo=UTC)


def test_sent_email_is_not_marked_as_failed(aws: None) -> None:
    email = AccountEmail.new("u" * 16, EmailKind.VERIFICATION, AT, "request")
    email.save()
    email.mark_email_sent()

    email.mark_email_failed(AT, "MessageRejected")

    assert [*AccountEmail.all_of_user("u" * 16)] == []
