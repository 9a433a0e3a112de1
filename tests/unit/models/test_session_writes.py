"""Sessions, throttles and reports: reads by one call, and writes that meet another write after their read."""

from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.models.reports import DAILY, Report
from chalicelib.models.sessions import Session
from chalicelib.models.throttles import Quota, Reservation, Throttle
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


def test_attempt_of_an_old_window_is_not_counted_in_the_new_one(aws: None) -> None:
    old = Throttle.reserve(Quota("s", 3, 900), 1000)
    assert old == Reservation("s", 1900, is_only_event=True)
    stale = Throttle.find("s")
    assert stale is not None
    stale.delete_expired()
    new = Throttle.reserve(Quota("s", 3, 900), 2000)
    assert new == Reservation("s", 2900, is_only_event=True)

    Throttle.settle(old, succeeded=False)
    Throttle.settle(old, succeeded=True)
    stale.delete_expired()

    row = Throttle.find("s")
    assert row is not None
    assert (row.reserved, row.failed, row.expires_at) == (1, 0, 2900)


def test_abandoned_attempts_are_released_unless_another_began(aws: None) -> None:
    for now in (1000, 1001, 1002):
        Throttle.reserve(Quota("s", 3, 900), now)
    Throttle.settle(Reservation("s", 1900), succeeded=False)
    read = Throttle.find("s")
    assert read is not None and (read.reserved, read.failed, read.reserved_at) == (3, 1, 1002)

    Throttle.settle(Reservation("s", 1900), succeeded=True)
    Throttle.reserve(Quota("s", 3, 900), 1040)
    read.release_abandoned()
    row = Throttle.find("s")
    assert row is not None and row.reserved == 3, "the last attempt is in progress"

    row.release_abandoned()
    row = Throttle.find("s")
    assert row is not None and (row.reserved, row.failed) == (1, 1)


def test_reservations_are_limited_within_their_window(aws: None) -> None:
    def reserve(now: int) -> Reservation | Throttle:
        return Throttle.reserve(Quota("s", 2, 900), now)

    assert [reserve(1000), reserve(1898)] == [Reservation("s", 1900, is_only_event=True), Reservation("s", 1900)]
    window = reserve(1899)
    assert isinstance(window, Throttle)
    assert (window.subject, window.reserved, window.failed, window.reserved_at) == ("s", 2, 0, 1898)
    Throttle.settle(Reservation("s", 1900), succeeded=True)
    assert isinstance(reserve(1899), Reservation)
    Throttle.settle(Reservation("s", 1900), succeeded=False)
    window = reserve(1899)
    assert isinstance(window, Throttle)
    assert (window.reserved, window.failed, window.expires_at) == (2, 1, 1900)
    assert reserve(1900) == Reservation("s", 2800, is_only_event=True), "a new window"
    row = Throttle.find("s")
    assert row is not None
    assert (row.reserved, row.failed, row.reserved_at) == (1, 0, 1900)


def test_only_one_of_two_attempts_starts_a_new_window(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read that the last one is over."""
    quota = Quota("s", 2, 900)
    Throttle.reserve(quota, 1000)
    update, others = Throttle.update, [lambda: Throttle.reserve(quota, 1900)]

    def update_after_another(row: Throttle, *arguments: Any, **named: Any) -> Any:
        if others:
            others.pop()()
        return update(row, *arguments, **named)

    monkeypatch.setattr(Throttle, "update", update_after_another)

    assert Throttle.reserve(quota, 1901) == Reservation("s", 2800)
    row = Throttle.find("s")
    assert row is not None and row.reserved == 2


def test_released_attempt_leaves_the_failures_of_others(aws: None) -> None:
    quota = Quota("s", 10, 900)
    first, second = Throttle.reserve(quota, 1_000), Throttle.reserve(quota, 1_001)
    assert isinstance(first, Reservation) and isinstance(second, Reservation)

    Throttle.settle(second, succeeded=False)
    Throttle.settle(first, succeeded=True)

    row = Throttle.find("s")
    assert row is not None and (row.reserved, row.failed, row.expires_at) == (1, 1, 1_900)


def test_released_attempt_without_others_deletes_its_window(aws: None) -> None:
    reservation = Throttle.reserve(Quota("s", 10, 900), 1_000)
    assert isinstance(reservation, Reservation)

    Throttle.settle(reservation, succeeded=True)

    assert Throttle.find("s") is None


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
