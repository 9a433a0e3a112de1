"""Search by several words: what it finds, and what it costs however common the words are."""

from collections import Counter

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.services import courses, keyword_join
from tests.factories import course_ids, create_course, create_user, store_courses
from tests.unit.conftest import DynamoDbRequest


@pytest.fixture
def teacher(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


def first_page(text: str, limit: int = 20) -> list[str]:
    page = courses.search(PageRequest(limit), text)
    assert page.next_cursor is None or page.json
    return course_ids(page)


def test_rare_word_is_found_among_two_thousand_courses(dynamodb_requests: list[DynamoDbRequest]) -> None:
    [match, *_] = store_courses(["Introduction to SQL", *["Introduction"] * 1_999])
    dynamodb_requests.clear()

    assert first_page("introduction sql") == [match]
    assert Counter(request.operation for request in dynamodb_requests) == {"Query": 2, "BatchGetItem": 1}
    assert [request.body["Limit"] for request in dynamodb_requests if request.operation == "Query"] == [100, 100]
    [load] = [request.body["RequestItems"] for request in dynamodb_requests if request.operation == "BatchGetItem"]
    assert [len(table["Keys"]) for table in load.values()] == [1]


def test_three_common_words_are_found_together(dynamodb_calls: list[str]) -> None:
    pairs = ["Knots and links", "Knots and braids", "Links and braids"]
    [match, *_] = store_courses(["Knots, links and braids", *pairs * 300])
    dynamodb_calls.clear()

    assert first_page("braids knots links") == [match]
    assert len(dynamodb_calls) <= 10
    assert dynamodb_calls.count("BatchGetItem") == 1


def test_longest_of_sixty_words_lead_to_the_courses(dynamodb_requests: list[DynamoDbRequest]) -> None:
    words = ["thermodynamics", *(f"w{number}" for number in range(59))]
    [match, *_] = store_courses([" ".join(words), *[" ".join(words[1:])] * 10])
    dynamodb_requests.clear()

    assert first_page(" ".join(words)) == [match]
    *queries, load = dynamodb_requests
    assert [request.operation for request in queries] == ["Query"] * keyword_join.MAX_LISTS
    assert [len(table["Keys"]) for table in load.body["RequestItems"].values()] == [1]


def test_one_word_costs_one_query_and_its_courses(dynamodb_requests: list[DynamoDbRequest]) -> None:
    stored = store_courses(["Knots"] * 30)
    dynamodb_requests.clear()

    assert first_page("knots") == stored[:9:-1]
    query, load = dynamodb_requests
    assert (query.operation, query.body["Limit"]) == ("Query", 22)
    assert [len(table["Keys"]) for table in load.body["RequestItems"].values()] == [20]


@pytest.mark.parametrize("text", ["links", "knots links"])
def test_rows_of_removed_keywords_take_no_place_on_a_page(
    teacher: Caller, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    match = create_course(teacher, title="Knots and links")
    monkeypatch.setattr(Course, "_delete_stale_keywords", lambda course: None)  # the process died before this
    for _ in range(3):
        edited = create_course(teacher, title="Knots and links")
        courses.update(teacher, edited.id, {"title": "Only knots"}, None)

    assert first_page(text, limit=1) == [match.id]


def test_deleted_and_unpublished_courses_are_not_found(teacher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were read from the lists before."""
    deleted, draft, match = (create_course(teacher, title="Knots and links") for _ in range(3))
    sort_keys = CourseListing.sort_keys
    before = {name: sort_keys(f"keyword#{name}", ascending=False, start=None, limit=9) for name in ("knots", "links")}
    courses.delete(teacher, deleted.id, None)
    courses.update(teacher, draft.id, {"is_published": False}, None)
    monkeypatch.setattr(CourseListing, "sort_keys", lambda name, **_: before[name.removeprefix("keyword#")])

    assert first_page("knots links") == [match.id]


def test_page_of_long_descriptions_leads_on(teacher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.core.pagination.MAX_PAGE_BYTES", 2_500)
    stored = [create_course(teacher, title="Knots", description="x " * 500).id for _ in range(5)]

    pages = [courses.search(PageRequest(100), "knots x")]
    while pages[-1].next_cursor:
        pages.append(courses.search(PageRequest(100, pages[-1].next_cursor), "knots x"))

    assert [course_ids(page) for page in pages] == [stored[:2:-1], stored[2:0:-1], stored[:1]]
    back = courses.search(PageRequest(100, pages[-1].previous_cursor), "knots x")
    assert course_ids(back) == stored[2:0:-1]


def test_empty_pages_lead_on_and_back(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the requests of a page do not suffice, its cursors continue at what was read."""
    for name, value in {"MAX_REQUESTS": 3, "FIRST_KEYS": 2, "MAX_KEYS": 4, "MAX_ITEMS": 2}.items():
        monkeypatch.setattr(keyword_join, name, value)
    stored = store_courses(["Knots and links", *["Knots", "Links"] * 8, "Knots and links", *["Links", "Knots"] * 8])
    expected = [stored[17], stored[0]]

    pages = [courses.search(PageRequest(1), "knots links")]
    while pages[-1].next_cursor:
        pages.append(courses.search(PageRequest(1, pages[-1].next_cursor), "knots links"))
    assert [course_id for page in pages for course_id in course_ids(page)] == expected
    assert not pages[0].json

    for number in range(1, len(pages)):
        page, backward = pages[number], list[str]()
        while page.previous_cursor:
            page = courses.search(PageRequest(1, page.previous_cursor), "knots links")
            assert page.next_cursor is not None
            backward = course_ids(page) + backward
        assert backward == [course_id for before in pages[:number] for course_id in course_ids(before)]


def test_client_can_turn_around_at_both_ends(teacher: Caller) -> None:
    """Although the course that its cursor names, and all beyond, were deleted or never existed."""
    made = [create_course(teacher, title="Knots and links").id for _ in range(3)]
    first = courses.search(PageRequest(1), "knots links")
    second = courses.search(PageRequest(1, first.next_cursor), "knots links")
    courses.delete(teacher, made[0], None)
    courses.delete(teacher, made[2], None)

    last = courses.search(PageRequest(1, second.next_cursor), "knots links")
    newest = courses.search(PageRequest(1, second.previous_cursor), "knots links")

    assert (last.json, last.next_cursor) == ("", None)
    assert (newest.json, newest.previous_cursor) == ("", None)
    for cursor in (last.previous_cursor, newest.next_cursor):
        assert course_ids(courses.search(PageRequest(9, cursor), "knots links")) == [made[1]]
