"""Reads that decide something are consistent: DynamoDB's other reads can return a row as it was before a write.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html
"""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.core.email_kinds import EmailKind
from chalicelib.models import waitlist
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.audit import AuditEntry
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.identities import Identity
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.ledger import Event, LedgerEntry
from chalicelib.models.lessons import Lesson
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.places import Place
from chalicelib.models.reports import Report
from chalicelib.models.sessions import Session
from chalicelib.models.throttles import Throttle
from chalicelib.models.tickets import Ticket
from chalicelib.models.users import User
from tests.unit.conftest import DynamoDbRequest

ID = "0" * 16
DAY = "2026-11-22"
EVERYTHING: Any = {"actor": None, "root": None, "first": "0", "end": "~", "after": None, "backward": False, "limit": 1}

CONSISTENT: dict[str, Callable[[], object]] = {
    "user": lambda: User.find(ID),
    "inactive user": lambda: User.find_inactive(ID, DAY),
    "identity": lambda: Identity.find_user_id("ada"),
    "session and user": lambda: Session.find_with_user(ID, "s"),
    "session": lambda: Session.find(ID, "s"),
    "sessions of a user": lambda: [*Session.all_of_user(ID)],
    "sessions to delete": lambda: [*Session.delete_all_of_user(ID)],
    "known addresses": lambda: [*KnownAddress.all_of_user(ID)],
    "emails of a user": lambda: [*AccountEmail.all_of_user(ID)],
    "emails to delete": lambda: [*AccountEmail.delete_all_of_user(ID)],
    "throttle": lambda: Throttle.find("s"),
    "throttles": lambda: Throttle.find_all(["s", "t"]),
    "course": lambda: Course.find(ID),
    "courses": lambda: Course.find_all([ID]),
    "list of courses": lambda: CourseListing.page(["all#date"], ascending=True, after=None, limit=1),
    "keys of a list": lambda: CourseListing.sort_keys("all#date", ascending=True, start=None, limit=1),
    "courses of an owner": lambda: [*CourseListing.of_owner(ID)],
    "courses of a day": lambda: [*CourseListing.created_between(DAY, DAY)],
    "lesson": lambda: Lesson.find(ID + "0" * 8),
    "lessons": lambda: Lesson.find_all([(ID, "0" * 8)]),
    "list of lessons": lambda: Lesson.page_keys(ID, after=None, backward=False, limit=1),
    "lessons of a course": lambda: [*Lesson.all_of_course(ID)],
    "enrollment": lambda: Enrollment.find(ID + ID + "0" * 8),
    "enrolled courses": lambda: Enrollment.filter_enrolled(ID, [ID]),
    "list of own enrollments": lambda: Enrollment.list_of_student(ID, after=None, backward=False, limit=1),
    "enrollments of a student": lambda: [*Enrollment.all_of_student(ID)],
    "latest report": lambda: Report.latest(DAY),
    "reports of a period": lambda: Report.between(DAY, DAY),
    "list of reports": lambda: Report.page(DAY, DAY, after=None, backward=False, limit=1),
    "events of a day": lambda: LedgerEntry.count_of(Event.USER_DELETED, DAY),
    "entities of a day": lambda: [*LedgerEntry.entities_between(Event.USER_DELETED, DAY, DAY)],
    "places": lambda: Place.between(ID, 1, 2),
    "places of waiting students": lambda: Place.page_of_waiting(ID, after=0, backward_from=None, limit=1),
    "number of waiting students": lambda: Place.count_waiting(ID, 0, 9),
    "counters of places": lambda: PlaceCounter.find(ID),
    "waiting entries": lambda: waitlist.entries_of_student(ID, after=None, backward=False, limit=1),
    "audit log": lambda: AuditEntry.page(**EVERYTHING),
    "tickets": lambda: [*Ticket.all_of_user(ID)],
}


@pytest.mark.parametrize("name", CONSISTENT)
def test_read_is_consistent(dynamodb_requests: list[DynamoDbRequest], name: str) -> None:
    CONSISTENT[name]()

    assert dynamodb_requests
    for request in dynamodb_requests:
        tables = [*request.body.get("RequestItems", {"": request.body}).values()]
        assert all(table.get("ConsistentRead") is True for table in tables), request


@pytest.mark.parametrize("table", [AccountEmail, Enrollment])
def test_pending_emails_are_read_consistently_after_the_index(
    dynamodb_requests: list[DynamoDbRequest], table: type[AccountEmail] | type[Enrollment]
) -> None:
    row = new_row(table)
    row.save()
    dynamodb_requests.clear()

    [(position, [found])] = table.pending_emails("0", "", "9999")
    assert (position, found.id) == (row.sort_key, row.id)

    assert has_one_consistent_batch(dynamodb_requests)


def test_failed_emails_are_read_consistently_after_the_index(
    dynamodb_requests: list[DynamoDbRequest],
) -> None:
    row = new_row(Enrollment)
    row.save()
    row.mark_email_failed(f"{DAY}T00:00:00.000000Z", "MessageRejected")
    dynamodb_requests.clear()

    assert [found.id for found in Enrollment.failed_emails()] == [row.id]

    assert has_one_consistent_batch(dynamodb_requests)


def new_row(table: type[AccountEmail] | type[Enrollment]) -> AccountEmail | Enrollment:
    requested_at = f"{DAY}T00:00:00.000000Z"
    if table is AccountEmail:
        return AccountEmail.new(ID, EmailKind.VERIFICATION, requested_at, "r")
    return Enrollment.new(ID, ID, requested_at, "r")


def has_one_consistent_batch(requests: list[DynamoDbRequest]) -> bool:
    [read] = [request for request in requests if request.operation == "BatchGetItem"]
    return [table["ConsistentRead"] for table in read.body["RequestItems"].values()] == [True]
