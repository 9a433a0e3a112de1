"""Sessions and reports: reads by one call, and writes that meet another write after their read."""

from typing import Any

from chalicelib.core.caller import Caller
from chalicelib.models.reports import DAILY, Report
from chalicelib.models.sessions import Session
from chalicelib.services import users
from tests.unit.conftest import DynamoDbRequest

AT = "2026-11-22T09:30:00.000000Z"


def test_rotation_replaces_the_current_token_only(student: Caller) -> None:
    session = Session(student.id, "t", refresh_id="1", auth_version=1, created_at=AT, expires_at=100)
    session.save()

    assert session.rotate(used="1", new="2", now=50, expires_at=200)
    assert not session.rotate(used="1", new="3", now=60, expires_at=300)
    assert not Session(student.id, "unknown").rotate(used="1", new="2", now=50, expires_at=200)
    stored = Session.find(student.id, "t")
    assert stored is not None
    assert (stored.refresh_id, stored.previous_id) == ("2", "1")
    assert (stored.rotated_at, stored.expires_at) == (50, 200)
    assert Session.find(student.id, "unknown") is None


def test_session_and_user_are_read_by_one_consistent_call(
    student: Caller, dynamodb_requests: list[DynamoDbRequest]
) -> None:
    session, user = Session.find_with_user(student.id, student.session_id)
    no_session, same_user = Session.find_with_user(student.id, "unknown")

    assert session and user and same_user
    assert (session.id, user.id, no_session, same_user.id) == (student.session_id, student.id, None, student.id)
    assert [request.operation for request in dynamodb_requests] == ["BatchGetItem"] * 2
    tables = [table for request in dynamodb_requests for table in request.body["RequestItems"].values()]
    assert [table["ConsistentRead"] for table in tables] == [True] * 4


def test_erased_user_of_a_session_is_not_found(student: Caller) -> None:
    users.erase(student.id)

    assert Session.find_with_user(student.id, student.session_id)[1] is None


def test_deleted_report_is_not_restored_by_its_mark(aws: None) -> None:
    numbers: Any = dict.fromkeys(
        ("courses", "published_courses", "users", "enrollments", "new_enrollments", "new_users"), 1
    )
    report = Report(DAILY, "2026-11-22", **numbers)
    report.mark_emailed(AT)
    assert Report.latest("9999") is None

    report.save()
    report.mark_emailed(AT)
    latest = Report.latest("2026-11-22")
    assert latest is not None and latest.emailed_at == AT
    assert Report.latest("2026-11-21") is None
