"""Reading the audit log: order, filters, pages, and the work of a page."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.audit import OPERATOR, Action, Actor
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Forbidden, NotAuthenticated
from chalicelib.core.pagination import Cursor, PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.audit import AuditEntry
from chalicelib.models.sessions import Session
from chalicelib.services import audit, audit_listing
from chalicelib.services.audit_listing import AuditFilter
from tests.factories import create_user

GRACE, ALAN = (Actor(letter * 16, Role.ADMIN, OPERATOR.via) for letter in "ga")
ADA, COURSE = "d" * 16, "c" * 16
LESSON, ENROLLMENT = COURSE + "1" * 8, ADA + COURSE + "2" * 8
START = datetime(2026, 10, 30, 12, tzinfo=UTC)
ACTS = [
    (GRACE, Action.USER_ROLE_CHANGED, ADA),
    (ALAN, Action.USER_DEACTIVATED, ADA),
    (GRACE, Action.COURSE_CHANGED, COURSE),
    (ALAN, Action.LESSON_CHANGED, LESSON),
    (GRACE, Action.ENROLLMENT_ENDED, ENROLLMENT),
    (OPERATOR, Action.USER_UNLOCKED, ADA),
    (OPERATOR, Action.QUEUE_REDRIVEN, "emails"),
]


def record(monkeypatch: pytest.MonkeyPatch, acts: list[tuple[Actor, Action, str]], step: timedelta) -> list[str]:
    """Save entries of acts, one after the other from START on, and return their IDs."""
    entries = []
    for number, act in enumerate(acts):
        at = START + number * step
        monkeypatch.setattr("chalicelib.core.clock.now", lambda at=at: at)
        entries.append(audit.entry(*act))
        audit.save(entries[-1])
    return [entry.id for entry in entries]


@pytest.fixture
def log(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The IDs of an entry for each of ACTS, one a day."""
    return record(monkeypatch, ACTS, timedelta(days=1))


def visit(filters: AuditFilter, limit: int, cursor: Cursor | None = None) -> list[str]:
    """Return the IDs of all pages from a cursor on, in its direction."""
    found = list[str]()
    while True:
        page = audit_listing.find(PageRequest(limit, cursor), filters)
        ids = [entry.id for entry in page.items]
        is_backward = cursor is not None and cursor.backward
        found = ids + found if is_backward else found + ids
        cursor = page.previous_cursor if is_backward else page.next_cursor
        if cursor is None:
            return found


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [6, 5, 4, 3, 2, 1, 0]),
    ({"actor": GRACE.id}, [4, 2, 0]),
    ({"actor": "operator"}, [6, 5]),
    ({"actor": "z" * 16}, []),
    ({"actor": ""}, []),
    ({"subject": ADA}, [5, 4, 1, 0]),
    ({"subject": COURSE}, [3, 2]),
    ({"subject": LESSON}, [3]),
    ({"subject": ENROLLMENT}, [4]),
    ({"subject": "emails"}, [6]),
    ({"subject": "email"}, []),
    ({"subject": ""}, []),
    ({"action": "user.unlocked"}, [5]),
    ({"action": "user"}, []),
    ({"actor": GRACE.id, "subject": ADA}, [4, 0]),
    ({"actor": GRACE.id, "subject": ADA, "action": "user.role_changed"}, [0]),
    ({"actor": GRACE.id, "action": "course.changed"}, [2]),
    ({"first": date(2026, 11, 2)}, [6, 5, 4, 3]),
    ({"last": date(2026, 11, 2)}, [3, 2, 1, 0]),
    ({"first": date(2026, 10, 31), "last": date(2026, 11, 1)}, [2, 1]),
    ({"first": date(2026, 11, 2), "last": date(2026, 11, 1)}, []),
    ({"first": date.min, "last": date.max}, [6, 5, 4, 3, 2, 1, 0]),
    ({"actor": GRACE.id, "first": date(2026, 10, 31)}, [4, 2]),
    ({"subject": ADA, "last": date(2026, 10, 31)}, [1, 0]),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS, ids=str)
def test_filters_select_newest_first_in_pages_of_any_size(
    log: list[str], filters: dict[str, Any], expected: list[int]
) -> None:
    ids = [log[number] for number in expected]

    for limit in (1, 2, 3, 100):
        assert visit(AuditFilter(**filters), limit) == ids


@pytest.mark.parametrize(
    "filters", [{}, {"actor": GRACE.id}, {"subject": ADA}, {"action": "user.role_changed"}], ids=str
)
def test_pages_lead_back(log: list[str], filters: dict[str, Any]) -> None:
    every = visit(AuditFilter(**filters), 100)
    last = audit_listing.find(PageRequest(100), AuditFilter(**filters)).items[-1]

    assert visit(AuditFilter(**filters), 1, Cursor(str(last.sort_key), backward=True)) == every[:-1]


def test_entries_of_one_time_are_all_listed(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = record(monkeypatch, ACTS * 3, timedelta(0))

    listed = visit(AuditFilter(), 2)

    assert sorted(listed) == sorted(ids)
    assert len({entry.shard for entry in AuditEntry.scan()}) > 1, "they are in several shards"


def test_new_entries_do_not_shift_pages(log: list[str]) -> None:
    first = audit_listing.find(PageRequest(3), AuditFilter())
    audit.save(audit.entry(OPERATOR, Action.USER_UNLOCKED, ADA))
    second = audit_listing.find(PageRequest(10, first.next_cursor), AuditFilter())

    assert [entry.id for entry in first.items + second.items] == log[::-1]


def test_rare_action_is_found_by_pages_of_bounded_work(
    aws: None, monkeypatch: pytest.MonkeyPatch, dynamodb_calls: list[str]
) -> None:
    monkeypatch.setattr(audit_listing, "READ_SIZE", 4)
    monkeypatch.setattr(audit_listing, "MAX_READS", 2)
    rare = (GRACE, Action.USER_ROLE_CHANGED, ADA)
    common = (GRACE, Action.USER_DEACTIVATED, ADA)
    ids = record(monkeypatch, [rare, *[common] * 30, rare, *[common] * 9], timedelta(seconds=1))
    filters, pages, calls = AuditFilter(action=Action.USER_ROLE_CHANGED), list[list[str]](), list[int]()
    cursor: Cursor | None = None
    while True:
        dynamodb_calls.clear()
        page = audit_listing.find(PageRequest(2, cursor), filters)
        pages.append([entry.id for entry in page.items])
        calls.append(len(dynamodb_calls))
        cursor = page.next_cursor
        if cursor is None:
            break

    assert [each for page_ids in pages for each in page_ids] == [ids[31], ids[0]]
    assert [] in pages
    assert max(calls) <= 2 * 4
    oldest = Cursor(min(str(entry.sort_key) for entry in AuditEntry.scan()), backward=True)
    assert visit(filters, 2, oldest) == [ids[31]]


def test_empty_pages_lead_both_ways(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that turns around on a page where nothing was found skips no entry."""
    monkeypatch.setattr(audit_listing, "READ_SIZE", 2)
    monkeypatch.setattr(audit_listing, "MAX_READS", 1)
    other, rare = (GRACE, Action.COURSE_CHANGED, COURSE), (ALAN, Action.USER_ERASED, ADA)
    ids = record(monkeypatch, [rare, *[other] * 20, rare], timedelta(minutes=1))
    filters = AuditFilter(action=Action.USER_ERASED)

    newest = audit_listing.find(PageRequest(1), filters)
    forward = audit_listing.find(PageRequest(1, newest.next_cursor), filters)
    oldest = Cursor(min(str(entry.sort_key) for entry in AuditEntry.scan()), backward=True)
    backward = audit_listing.find(PageRequest(1, oldest), filters)

    assert forward.items == backward.items == []
    assert visit(filters, 1, forward.next_cursor) == [ids[0]]
    assert visit(filters, 1, forward.previous_cursor) == [ids[-1]]
    assert visit(filters, 1, backward.next_cursor) == [ids[0]]
    assert visit(filters, 1, backward.previous_cursor) == [ids[-1]]


def test_page_that_is_not_full_leads_on(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has fewer results than its limit, because as many entries were read as one page may read."""
    monkeypatch.setattr(audit_listing, "READ_SIZE", 3)
    monkeypatch.setattr(audit_listing, "MAX_READS", 1)
    other, rare = (GRACE, Action.COURSE_CHANGED, COURSE), (ALAN, Action.USER_ERASED, ADA)
    ids = record(monkeypatch, [rare, other, rare, *[other] * 20, rare, other, other, rare], timedelta(minutes=1))
    filters = AuditFilter(action=Action.USER_ERASED)
    oldest = Cursor(min(str(entry.sort_key) for entry in AuditEntry.scan()), backward=True)

    newest = audit_listing.find(PageRequest(2), filters)
    backward = audit_listing.find(PageRequest(2, oldest), filters)

    assert [entry.id for page in (newest, backward) for entry in page.items] == [ids[-1], ids[2]]
    assert visit(filters, 2, newest.next_cursor) == [ids[-4], ids[2], ids[0]]
    assert visit(filters, 2, backward.previous_cursor) == [ids[-1], ids[-4]]


def test_page_makes_one_query_per_shard_or_index(log: list[str], dynamodb_calls: list[str]) -> None:
    for filters, queries in ((AuditFilter(), 4), (AuditFilter(actor=GRACE.id), 1), (AuditFilter(subject=ADA), 1)):
        dynamodb_calls.clear()
        audit_listing.find(PageRequest(2), filters)
        assert dynamodb_calls == ["Query"] * queries


@pytest.mark.parametrize("role", [Role.STUDENT, Role.INSTRUCTOR])
def test_only_admins_read(aws: None, role: Role) -> None:
    with pytest.raises(Forbidden):
        audit_listing.list_entries(create_user(role), PageRequest(20), AuditFilter())


def test_revoked_admin_reads_nothing(aws: None) -> None:
    admin: Caller = create_user(Role.ADMIN)
    Session(admin.id, admin.session_id).delete()

    with pytest.raises(NotAuthenticated):
        audit_listing.list_entries(admin, PageRequest(20), AuditFilter())
