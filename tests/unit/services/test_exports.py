"""The export of personal data, in pages."""

from collections import Counter

import pytest

from chalicelib.core import clock, pagination
from chalicelib.core.pagination import Cursor
from chalicelib.core.roles import Role
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.lessons import Lesson
from chalicelib.models.tickets import Ticket, TicketKind
from chalicelib.services import enrollments, exports, lessons, rate_limits, users
from tests.factories import create_course, create_user
from tests.unit.conftest import DynamoDbRequest

LESSON = {"title": "A lesson", "duration_min": 5, "order_index": 1}


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_export_pages_have_everything_once(aws: None, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(exports, "MAX_ITEMS", most)
    teacher, rival = create_user(Role.INSTRUCTOR), create_user(Role.INSTRUCTOR)
    made = [create_course(teacher, is_published=number != 1) for number in range(3)]
    theirs = create_course(rival)
    expected = {course.id for course in made}
    for owner, course in ((teacher, made[1]), (teacher, made[2]), (rival, theirs)):
        for number in (3, 1, 2):
            lesson = lessons.create(owner, course.id, LESSON | {"content": "", "order_index": number})
            expected |= {lesson.id} if owner is teacher else set()

    held, place, first = [], None, True
    while first or place:
        part = exports.export(teacher, place)
        assert part.user.id == teacher.id
        held += [item.id for item in part.items]
        place, first = part.next_cursor, False

    assert sorted(held) == sorted(expected | {"s"})


def test_export_has_own_enrollments_only(aws: None) -> None:
    course, ada, bob = create_course(create_user(Role.INSTRUCTOR)), create_user(Role.STUDENT), create_user(Role.STUDENT)
    mine, _ = (enrollments.enroll(student, course.id, clock.now()) for student in (ada, bob))

    part = exports.export(ada, None)

    assert ([found.id for found in part.of_type(Enrollment)], part.next_cursor) == ([mine.id], None)
    assert exports.export(ada, Cursor(f"enrollments|{course.id}")).items == []


def test_export_reads_courses_in_batches_and_no_absent_lessons(
    aws: None, dynamodb_requests: list[DynamoDbRequest]
) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    made = [create_course(teacher, is_published=False) for _ in range(102)]
    lesson = lessons.create(teacher, made[7].id, LESSON | {"content": ""})
    dynamodb_requests.clear()

    page = exports.export(teacher, None)

    assert [course.id for course in page.of_type(Course)] == [course.id for course in made]
    assert [found.id for found in page.of_type(Lesson)] == [lesson.id]
    batches = [request.body["RequestItems"] for request in dynamodb_requests if request.operation == "BatchGetItem"]
    of_courses = [batch["eduflow-courses-test"] for batch in batches if "eduflow-courses-test" in batch]
    assert [len(batch["Keys"]) for batch in of_courses] == [100, 2]
    assert Counter(request.body.get("TableName") for request in dynamodb_requests)["eduflow-lessons-test"] == 1


def test_export_page_is_trimmed(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "MAX_PAGE_BYTES", 12_000)
    teacher = create_user(Role.INSTRUCTOR)
    course = create_course(teacher)
    for number in range(4):
        lessons.create(teacher, course.id, LESSON | {"content": "é" * 1500, "order_index": number})

    first = exports.export(teacher, None)
    second = exports.export(teacher, first.next_cursor)

    assert [len(first.of_type(Lesson)), len(second.of_type(Lesson))] == [1, 1]
    assert first.of_type(Lesson)[0].id != second.of_type(Lesson)[0].id


def test_export_has_the_networks_of_logins(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_ITEMS", 2)
    student = create_user(Role.STUDENT)
    for address in ("192.0.2.7", "2001:db8::1", "198.51.100.1"):
        KnownAddress.of(student.id, rate_limits.network_of(address), 2**31).save()

    first = exports.export(student, None)
    second = exports.export(student, first.next_cursor)

    networks = [[address.network for address in part.of_type(KnownAddress)] for part in (first, second)]
    assert networks == [["192.0.2.7"], ["198.51.100.1", "2001:db8::/64"]]
    assert second.next_cursor is None


def test_export_has_pending_emails_and_tickets(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_ITEMS", 1)
    student = create_user(Role.STUDENT)
    user = users.apply_changes(student.id, {"email": "new@example.org"})
    for kind in TicketKind:
        Ticket.replace(kind, user, "s" * 26, 2**31)

    items: list[exports.Item] = []
    cursor = None
    while len(items) < 5:
        part = exports.export(student, cursor)
        items += part.items
        cursor = part.next_cursor

    assert cursor is None
    assert [item.kind for item in items if isinstance(item, Ticket)] == ["reset", "verify"]
    emails = [item for item in items if isinstance(item, AccountEmail)]
    assert {email.kind: email.address for email in emails} == {
        "verification": None,
        "email_changed": f"{student.username}@example.org",
    }
