"""The lists of each table: complete, in order, in both directions, and no more rows read than the limit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.roles import Role
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.course_listings import CourseListing, by_date, by_price
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.models.reports import DAILY, Report
from chalicelib.models.shards import all_shards
from chalicelib.models.users import User
from chalicelib.services import lessons
from tests.factories import create_course, create_user
from tests.unit.conftest import DynamoDbRequest

START = datetime(2026, 11, 22, tzinfo=UTC)
Fetch = Callable[..., list[Any]]


def walk(fetch: Fetch, limit: int, *, backward: bool = False, start: str | None = None) -> list[str]:
    """Return the sort keys of all rows after ``start``, page by page."""
    keys, after = list[str](), start
    while rows := fetch(after=after, backward=backward, limit=limit):
        assert len(rows) <= limit
        keys += [row.sort_key for row in rows]
        assert len(keys) == len(set(keys)), "a page repeats a row"
        after = keys[-1]
    return keys


def assert_is_list(fetch: Fetch, expected: list[str]) -> None:
    """Assert that a list has these sort keys in this order, whatever the size of its pages and the direction."""
    for limit in (1, 2, 100):
        assert walk(fetch, limit) == expected
        assert walk(fetch, limit, backward=True, start=expected[-1]) == expected[-2::-1]
        assert walk(fetch, limit, start=expected[1]) == expected[2:]


def at(number: int) -> str:
    return f"2026-11-22T09:30:00.00000{number}Z"


@pytest.fixture
def rows(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[Enrollment]:
    """The enrollments of three students in three courses, oldest first, in three shards."""
    monkeypatch.setitem(settings().__dict__, "enrollment_shards", 3)
    made = []
    for number, (student, course) in enumerate([("a", "x"), ("d", "x"), ("a", "y"), ("f", "x"), ("a", "z")]):
        row = Enrollment.new(student * 16, course * 16, at(number), "r")
        row.insert()
        made.append(row)
    assert {row.shard for row in made} == {"0", "1", "2"}
    return made


def newest_first(rows: list[Enrollment], **of: str) -> list[str]:
    selected = [row for row in rows if all(getattr(row, name) == value for name, value in of.items())]
    return [row.sort_key for row in selected][::-1]


def test_enrollments_of_a_student(rows: list[Enrollment]) -> None:
    def fetch(**options: Any) -> list[Enrollment]:
        return Enrollment.list_of_student("a" * 16, **options)

    assert_is_list(fetch, newest_first(rows, student="a" * 16))
    assert [row.course for row in Enrollment.all_of_student("a" * 16)] == ["x" * 16, "y" * 16, "z" * 16]
    assert [row.course for row in Enrollment.all_of_student("a" * 16, "x" * 16)] == ["y" * 16, "z" * 16]


def test_enrollments_of_a_course_in_all_shards(rows: list[Enrollment]) -> None:
    def fetch(**options: Any) -> list[Enrollment]:
        return Enrollment.list_of_course("x" * 16, **options)

    assert_is_list(fetch, newest_first(rows, course="x" * 16))
    assert sorted(row.id for row in Enrollment.all_of_course("x" * 16)) == sorted(
        row.id for row in rows if row.course == "x" * 16
    )


def test_all_enrollments_in_all_shards(rows: list[Enrollment]) -> None:
    assert_is_list(Enrollment.list_all, newest_first(rows))
    assert [*Enrollment.created_between(at(1), at(3))] == [(row.created_at, row.id) for row in rows[1:4]]


def test_pending_emails_in_all_shards(rows: list[Enrollment]) -> None:
    rows[2].mark_email_sent()

    assert pending(before=at(4)) == {rows[number].id for number in (0, 1, 3)}
    assert pending(before=at(0)) == set()
    assert pending(after=str(rows[1].sort_key), before=at(4)) == {rows[3].id}


def test_pending_emails_about_accounts_in_all_shards(aws: None) -> None:
    emails = [AccountEmail.new(f"{number}" * 16, EmailKind.VERIFICATION, at(number), "r") for number in range(5)]
    for email in emails:
        email.save()

    def found(after: str, before: str) -> set[str]:
        batches = [AccountEmail.pending_emails(shard, after, before) for shard in all_shards()]
        return {row.id for batch in batches for _, rows in batch for row in rows}

    assert found("", at(4)) == {email.id for email in emails[:4]}
    assert found("", at(0)) == set()
    assert found(str(emails[1].sort_key), at(4)) == {email.id for email in emails[2:4]}


def pending(before: str, after: str = "") -> set[str]:
    batches = [Enrollment.pending_emails(shard, after, before) for shard in all_shards()]
    return {row.id for batch in batches for _, rows in batch for row in rows}


def test_email_sent_since_the_index_was_read_is_not_pending(
    rows: list[Enrollment], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [*Enrollment.scan()]
    for row in kept:
        row.mark_email_sent()
    monkeypatch.setattr(Enrollment.by_email_pending, "query", lambda shard, *_: iter(kept))  # it lags

    assert pending(before="9999") == set()


def test_users_of_all_roles(aws: None) -> None:
    roles = (Role.STUDENT, Role.INSTRUCTOR, Role.STUDENT, Role.STUDENT)
    ids = [create_user(role, START + timedelta(days=day)).id for day, role in enumerate(roles)]
    expected = [f"{(START + timedelta(days=day)).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}#{ids[day]}" for day in (3, 2, 1, 0)]

    assert_is_list(User.list_all, expected)
    assert User.first_joined() == expected[-1].partition("#")[0]
    joined = [*User.joined_between("2026-11-23T00:00:00.000000Z", "2026-11-24T00:00:00.000000Z")]
    assert joined == [("2026-11-23T00:00:00.000000Z", ids[1]), ("2026-11-24T00:00:00.000000Z", ids[2])]


def test_only_active_admins_are_active_admins(aws: None) -> None:
    ada, bob = create_user(Role.ADMIN), create_user(Role.ADMIN)
    create_user(Role.STUDENT)
    bob_row = User.find(bob.id)
    assert bob_row is not None
    bob_row.apply({"is_active": False}, at(0))

    assert [(user.id, user.username, user.email) for user in User.active_admins()] == [
        (ada.id, ada.username, f"{ada.username}@example.org")
    ]


def test_reports_of_a_period(aws: None) -> None:
    numbers: Any = dict.fromkeys(
        ("courses", "published_courses", "users", "enrollments", "new_enrollments", "new_users"), 0
    )
    days = [f"2026-11-{day:02d}" for day in range(1, 8)]
    for day in days:
        Report(DAILY, day, **numbers).save()

    def fetch(**options: Any) -> list[Report]:
        return Report.page("2026-11-02", "2026-11-06", **options)

    assert_is_list(fetch, days[5:0:-1])
    assert [report.date for report in Report.between("2026-11-02", "2026-11-06")] == days[1:6]
    assert Report.page("2026-11-06", "2026-11-02", after=None, backward=False, limit=9) == []
    [only] = Report.page("2026-11-03", "2026-11-03", after=None, backward=False, limit=9)
    assert only.date == "2026-11-03"


def test_courses_by_date_and_price(aws: None) -> None:
    """Prices are sorted as numbers up to the highest, 99,999,999.99."""
    owner, rival = create_user(Role.INSTRUCTOR), create_user(Role.INSTRUCTOR)
    cents = [9_999_999_999, 100_000_000, 99_999_999, 29, 0]
    made = [
        create_course(owner if number % 2 else rival, START + timedelta(days=number), price_cents=price)
        for number, price in enumerate(cents)
    ]
    partitions = [f"owner#{owner.id}", f"owner#{rival.id}", "published"]  # each course in two of them

    def ids(partition: Callable[[str], str], ascending: bool) -> list[str]:
        names, after, found = [*map(partition, partitions)], None, list[str]()
        while page := CourseListing.page(names, ascending=ascending, after=after, limit=2):
            found += [row.course_id for row in page]
            after = str(page[-1].sort_key)
        return found

    oldest_first = [course.id for course in made]
    assert ids(by_date, True) == ids(by_price, False) == oldest_first
    assert ids(by_date, False) == ids(by_price, True) == oldest_first[::-1]
    first, last = "2026-11-23T00:00:00.000000Z", "2026-11-24T00:00:00.000000Z"
    assert [course_id for _, course_id in CourseListing.created_between(first, last)] == oldest_first[1:3]
    owned = [*CourseListing.of_owner(owner.id)]
    assert [row.course_id for row in owned] == [made[1].id, made[3].id]
    assert [row.course_id for row in CourseListing.of_owner(owner.id, str(owned[1].sort_key))] == [made[3].id]


def test_sort_keys_from_one_on(dynamodb_calls: list[str]) -> None:
    """One query, of which the caller knows whether it was the last."""
    owner = create_user(Role.INSTRUCTOR)
    made = [create_course(owner, START + timedelta(days=number)) for number in range(4)]
    keys = [f"{course.created_at}#{course.id}" for course in made]
    dynamodb_calls.clear()

    def read(ascending: bool, start: str | None, limit: int) -> tuple[list[str], bool]:
        return CourseListing.sort_keys("all#date", ascending=ascending, start=start, limit=limit)

    assert read(True, None, 3) == (keys[:3], False)
    assert read(True, keys[1], 9) == (keys[1:], True)
    assert read(False, keys[2], 2) == (keys[2:0:-1], False)
    assert read(False, keys[0], 9) == (keys[:1], True)
    assert read(True, "~", 9) == ([], True)
    assert dynamodb_calls == ["Query"] * 5


def test_lessons_of_a_course_by_order_index(aws: None) -> None:
    """An order_index is sorted as a number up to the highest, 2,147,483,647."""
    owner = create_user(Role.INSTRUCTOR)
    course, other = create_course(owner), create_course(owner)
    fields = {"title": "A lesson", "content": "", "duration_min": 5}
    made = [lessons.create(owner, course.id, fields | {"order_index": index}) for index in (2_147_483_647, 10, 9, 0)]
    lessons.create(owner, other.id, fields | {"order_index": 1})

    def fetch(*, after: str | None, backward: bool, limit: int) -> list[Lesson]:
        keys = Lesson.page_keys(course.id, after=after, backward=backward, limit=limit)
        by_key = Lesson.find_all([(course.id, suffix) for _, suffix in keys])
        assert [by_key[course.id, suffix].sort_key for _, suffix in keys] == [sort_key for sort_key, _ in keys]
        return [by_key[course.id, suffix] for _, suffix in keys]

    assert_is_list(fetch, [lesson.sort_key for lesson in made[::-1]])
    suffixes = sorted(lesson.suffix for lesson in made)
    assert [lesson.suffix for lesson in Lesson.all_of_course(course.id)] == suffixes
    assert [lesson.suffix for lesson in Lesson.all_of_course(course.id, suffixes[0])] == suffixes[1:]


LISTS: dict[str, Callable[[int], object]] = {
    "of a student": lambda limit: Enrollment.list_of_student("a", after=None, backward=False, limit=limit),
    "of a course": lambda limit: Enrollment.list_of_course("x", after=None, backward=False, limit=limit),
    "all enrollments": lambda limit: Enrollment.list_all(after=None, backward=False, limit=limit),
    "users": lambda limit: User.list_all(after=None, backward=False, limit=limit),
    "reports": lambda limit: Report.page("0", "9", after=None, backward=False, limit=limit),
    "courses": lambda limit: CourseListing.page(["all#date"], ascending=True, after=None, limit=limit),
    "keys of courses": lambda limit: CourseListing.sort_keys("all#date", ascending=True, start=None, limit=limit),
    "lessons": lambda limit: Lesson.page_keys("x", after=None, backward=False, limit=limit),
}


@pytest.mark.parametrize("name", LISTS)
def test_list_reads_no_more_rows_than_its_limit(dynamodb_requests: list[DynamoDbRequest], name: str) -> None:
    LISTS[name](7)

    assert dynamodb_requests
    assert {request.operation for request in dynamodb_requests} == {"Query"}
    assert {request.body.get("Limit") for request in dynamodb_requests} == {7}
