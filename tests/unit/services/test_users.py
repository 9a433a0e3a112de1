"""User administration: what a change and an erasure leave behind."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from chalicelib.adapters import sqs
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, NotAuthenticated, NotFound
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.identities import Identity
from chalicelib.models.reports import Report
from chalicelib.models.sessions import Session
from chalicelib.models.users import User
from chalicelib.observability import logs
from chalicelib.services import accounts, courses, reports, users
from tests.clients import PASSWORD
from tests.factories import create_course, create_user

DAY = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """The messages that were sent, with their queues."""
    messages: list[tuple[str, dict[str, str]]] = []

    def send(queue: str, message: dict[str, str], **_: Any) -> bool:
        messages.append((queue, message))
        return True

    monkeypatch.setattr(sqs, "send", send)
    logs.request_id.set("r")
    return messages


@pytest.fixture
def admin(aws: None) -> Caller:
    return create_user(Role.ADMIN)


def test_erasure_removes_personal_data_and_requests_the_rest(
    admin: Caller, sent: list[tuple[str, dict[str, str]]]
) -> None:
    student = create_user(Role.STUDENT, name="ada")

    users.delete(admin, student.id)

    assert sent == [("deletions", {"target": "user", "id": student.id, "request_id": "r"})]
    assert (Identity.find_user_id("ada"), Identity.find_user_id("ada@example.org")) == (None, None)
    row = User.get_or_none(student.id)
    assert row is not None
    assert [row.username, row.email, row.password_hash, row.sort_key] == [None] * 4
    assert (row.is_active, row.auth_version, row.lifecycle, row.lifecycle_at) == (False, 2, "erased", row.deleted_at)
    with pytest.raises(NotFound):
        users.get(admin, student.id)
    assert create_user(Role.STUDENT, name="ada").id != student.id, "the names are free again"


def test_deleted_course_requests_the_deletion_of_its_dependents(
    aws: None, sent: list[tuple[str, dict[str, str]]]
) -> None:
    owner = create_user(Role.INSTRUCTOR)
    course = create_course(owner)

    courses.delete(owner, course.id, None)

    assert sent == [("deletions", {"target": "course", "id": course.id, "request_id": "r"})]


def stored() -> dict[str, dict[str, int]]:
    return {report.date: report.numbers for report in Report.between("2026-01-01", "2999-12-31")}


@pytest.mark.usefixtures("sent")
def test_reports_after_deletions_and_erasures(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """New entities stay counted on their day; totals fall on the day of the deletion."""
    teacher, student = create_user(Role.INSTRUCTOR, DAY), create_user(Role.STUDENT, DAY)
    course = create_course(teacher, DAY)
    monkeypatch.setattr("chalicelib.core.clock.now", lambda: DAY + timedelta(days=1))
    courses.delete(teacher, course.id, None)
    users.erase(student.id)

    [*reports.generate_missing(DAY + timedelta(days=2))]

    numbers = stored()
    assert (numbers["2026-11-20"]["new_users"], numbers["2026-11-20"]["users"]) == (2, 2)
    assert (numbers["2026-11-20"]["courses"], numbers["2026-11-20"]["published_courses"]) == (1, 1)
    assert (numbers["2026-11-21"]["new_users"], numbers["2026-11-21"]["users"]) == (0, 1)
    assert (numbers["2026-11-21"]["courses"], numbers["2026-11-21"]["published_courses"]) == (0, 0)


def test_reports_are_listed_by_period_and_page(admin: Caller) -> None:
    create_user(Role.STUDENT, DAY)
    [*reports.generate_missing(DAY + timedelta(days=5))]

    def dates(first: date | None, last: date | None, limit: int = 20) -> list[str]:
        found, request = list[str](), PageRequest(limit)
        while True:
            page = reports.list_reports(admin, first, last, request)
            found += [report.date for report in page.items]
            if page.next_cursor is None:
                return found
            request = PageRequest(limit, page.next_cursor)

    everything = [f"2026-11-{day}" for day in (24, 23, 22, 21, 20)]
    for limit in (1, 2, 20):
        assert dates(None, None, limit) == everything
        assert dates(date(2026, 11, 22), None, limit) == everything[:3]
        assert dates(None, date(2026, 11, 22), limit) == everything[2:]
        assert dates(date(2026, 11, 21), date(2026, 11, 22), limit) == everything[2:4]
    second = reports.list_reports(
        admin, None, None, PageRequest(2, reports.list_reports(admin, None, None, PageRequest(2)).next_cursor)
    )
    first = reports.list_reports(admin, None, None, PageRequest(2, second.previous_cursor))
    assert [report.date for report in first.items] == everything[:2]


def test_users_are_listed_newest_first_in_pages(admin: Caller) -> None:
    made = [create_user(Role.STUDENT).id for _ in range(3)]
    page = users.list_users(admin, PageRequest(2))
    rest = users.list_users(admin, PageRequest(2, page.next_cursor))
    first = users.list_users(admin, PageRequest(2, rest.previous_cursor))

    assert [user.id for user in page.items] == [user.id for user in first.items] == [made[2], made[1]]
    assert [user.id for user in rest.items] == [made[0], admin.id]


def test_revoked_admin_uses_no_admin_route(admin: Caller) -> None:
    Session(admin.id, admin.session_id).delete()

    for call in (
        lambda: users.list_users(admin, PageRequest(20)),
        lambda: users.get(admin, admin.id),
        lambda: users.update(admin, admin.id, {}),
        lambda: users.delete(admin, admin.id),
    ):
        with pytest.raises(NotAuthenticated):
            call()


def test_number_of_active_admins_is_exact(admin: Caller) -> None:
    """Every way to become and to stop being an active admin; the last one always stays."""
    second = create_user(Role.INSTRUCTOR)
    changes: list[tuple[dict[str, Any], bool]] = [
        ({"role": "admin"}, True),
        ({"is_active": False}, False),
        ({"role": "student"}, False),
        ({"role": "admin"}, False),
        ({"is_active": True}, True),
        ({"role": "instructor"}, False),
        ({"role": "admin", "is_active": False}, False),
        ({"is_active": True}, True),
    ]
    for fields, is_second_admin in changes:
        users.apply_changes(second.id, fields)
        if not is_second_admin:
            with pytest.raises(Conflict, match="This is the last active admin"):
                users.apply_changes(admin.id, {"is_active": False})
            with pytest.raises(Conflict, match="This is the last active admin"):
                users.erase(admin.id)
    users.erase(admin.id)
    with pytest.raises(Conflict):
        users.erase(second.id)


def test_change_without_effect_writes_nothing(admin: Caller, dynamodb_calls: list[str]) -> None:
    student = create_user(Role.STUDENT, name="ada")
    dynamodb_calls.clear()

    same = users.apply_changes(student.id, {"role": "student", "is_active": True, "email": "ada@example.org"})

    assert (same.auth_version, dynamodb_calls) == (1, ["GetItem"])


def test_email_moves_to_its_new_identity(aws: None) -> None:
    student, other = create_user(Role.STUDENT, name="ada"), create_user(Role.STUDENT, name="bob")

    changed = users.apply_changes(student.id, {"email": "new@example.org"})

    assert (changed.email, changed.auth_version) == ("new@example.org", 1)
    assert Identity.find_user_id("new@example.org") == student.id
    assert Identity.find_user_id("ada@example.org") is None
    with pytest.raises(Conflict) as error:
        users.apply_changes(other.id, {"email": "new@example.org"})
    assert [(field.field, field.code) for field in error.value.fields] == [("email", "unique")]
    assert Identity.find_user_id("bob@example.org") == other.id


def test_new_account_has_its_identities_and_lower_case_email(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.security.passwords.hash_password", lambda password: f"hash of {password}")

    user = accounts.register("Ada", "Ada@Example.org", PASSWORD, Role.INSTRUCTOR, now=DAY)

    kept = User.find(user.id)
    assert kept is not None
    assert (kept.username, kept.email, kept.role, kept.password_hash) == (
        "Ada",
        "ada@example.org",
        "instructor",
        f"hash of {PASSWORD}",
    )
    assert (kept.date_joined, kept.sort_key) == (
        "2026-11-20T12:00:00.000000Z",
        f"2026-11-20T12:00:00.000000Z#{user.id}",
    )
    assert (kept.is_active, kept.auth_version, kept.published_courses) == (True, 1, 0)
    assert Identity.find_user_id("ADA") == Identity.find_user_id("ADA@example.org") == user.id
    for username, email, taken in (
        ("aDA", "new@example.org", ["username"]),
        ("new", "ADA@example.ORG", ["email"]),
        ("ada", "ada@example.org", ["username"]),
    ):
        with pytest.raises(Conflict) as error:
            accounts.register(username, email, PASSWORD, Role.STUDENT)
        assert [field.field for field in error.value.fields] == taken
        assert Identity.find_user_id("new") is None and Identity.find_user_id("new@example.org") is None


def test_admin_is_created_by_operators_only(aws: None) -> None:
    admin = accounts.create_admin("root.admin", "root@example.org", PASSWORD)

    assert (admin.role, admin.is_active_admin) == ("admin", True)
