"""Emails that were given up: listed, and sent again."""

from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from chalicelib.adapters import aws as aws_clients
from chalicelib.core.roles import Role
from chalicelib.models.enrollments import Enrollment
from chalicelib.services import enrollments
from ops import emails
from tests.factories import create_course, create_user

AT = "2026-11-22T09:30:00.000000Z"


@pytest.fixture
def failed(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[Enrollment]:
    """Twelve enrollments whose email was given up, and one whose email was not."""
    course = create_course(create_user(Role.INSTRUCTOR))
    enrolled = [enrollments.enroll(create_user(Role.STUDENT), course.id) for _ in range(13)]
    for enrollment in enrolled[1:]:
        enrollment.mark_email_failed(AT, "MessageRejected")
    return enrolled[1:]


def test_emails_given_up_are_listed(failed: list[Enrollment]) -> None:
    listed = {row["id"]: row for row in emails.failed()}

    assert listed.keys() == {row.id for row in failed}
    assert listed[failed[0].id] == {
        "kind": "enrollment",
        "id": failed[0].id,
        "user": failed[0].student,
        "failed_at": AT,
        "error": "MessageRejected",
    }


def test_emails_given_up_are_queued_again(failed: list[Enrollment], sent: Any) -> None:
    while sent():
        pass

    assert [*emails.retry()] == [10, 12]
    assert len([*sent(), *sent()]) == 12


def test_suppressed_addresses_are_listed_from_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    def summary(address: str, reason: str) -> dict[str, Any]:
        return {"EmailAddress": address, "Reason": reason, "LastUpdateTime": datetime(2026, 11, 22, tzinfo=UTC)}

    pages = {
        None: {"SuppressedDestinationSummaries": [summary("a@example.org", "BOUNCE")], "NextToken": "2"},
        "2": {"SuppressedDestinationSummaries": [summary("b@example.org", "COMPLAINT")]},
    }
    client = Mock(list_suppressed_destinations=lambda **request: pages[request.get("NextToken")])
    monkeypatch.setattr(aws_clients, "client", lambda name: client)

    assert [(one["address"], one["reason"], one["since"]) for one in emails.suppressed()] == [
        ("a@example.org", "BOUNCE", "2026-11-22T00:00:00+00:00"),
        ("b@example.org", "COMPLAINT", "2026-11-22T00:00:00+00:00"),
    ]
