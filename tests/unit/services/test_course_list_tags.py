"""Which cached pages a write invalidates: all that it changes, and few others. Lists are in memory."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.core import clock
from chalicelib.core.pagination import Cursor, Page, PageRequest, paginate, trim_to_size
from chalicelib.models.course_listings import date_sort_key, price_sort_key
from chalicelib.models.courses import Course
from chalicelib.services.course_list_tags import changed_tags, tags_of_page

ORDERINGS = ["created_at", "-created_at", "price", "-price"]
START = datetime(2026, 9, 1, tzinfo=UTC)
SORT_KEYS = {"created_at": date_sort_key, "price": price_sort_key}

# Courses of the same second, of neighbouring ones, and of years.
seconds = st.one_of(st.integers(0, 3), st.integers(0, 100), st.integers(0, 400_000_000))
prices = st.one_of(st.just(0), st.integers(990, 1010), st.integers(0, 9_999_999_999))
places = st.tuples(seconds, prices)


def course_of(number: int, after_seconds: float = 0, price: int = 0, *, is_published: bool = True) -> Course:
    created_at = clock.format_timestamp(START + timedelta(seconds=after_seconds))
    return Course(
        f"{number:016d}",
        title="A",
        description="",
        price_cents=price,
        is_published=is_published,
        owner_id="0" * 16,
        owner="teacher",
        created_at=created_at,
        updated_at=created_at,
    )


@dataclass
class Row:
    sort_key: str
    course: Course


def read(courses: list[Course], ordering: str, request: PageRequest, bytes_of_each: int = 0) -> Page[Course]:
    """Return a page as the service does."""
    sort_key, is_descending = SORT_KEYS[ordering.lstrip("-")], ordering.startswith("-")
    rows = [Row(sort_key(course), course) for course in courses if course.is_published]

    def fetch(after: str | None, backward: bool, limit: int) -> list[Row]:
        down = is_descending != backward
        ordered = sorted(rows, key=lambda row: row.sort_key, reverse=down)
        rest = [row for row in ordered if after is None or (row.sort_key < after if down else row.sort_key > after)]
        return rest[:limit]

    page = paginate(request, fetch)
    page = trim_to_size(page, [bytes_of_each] * len(page.items), request)
    return Page([row.course for row in page.items], page.next_cursor, page.previous_cursor, page.read_up_to)


@given(
    others=st.lists(places, max_size=12),
    ordering=st.sampled_from(ORDERINGS),
    limit=st.integers(1, 4),
    cursor=st.none() | st.tuples(places, st.booleans()),
    at=places,
    price_afterwards=st.none() | prices,
    size=st.sampled_from([0, 1_000_000, 2_500_001]),
    data=st.data(),
)
def test_write_invalidates_each_page_that_it_changes(
    others: list[tuple[int, int]],
    ordering: str,
    limit: int,
    cursor: tuple[tuple[int, int], bool] | None,
    at: tuple[int, int],
    price_afterwards: int | None,
    size: int,
    data: st.DataObject,
) -> None:
    """Of the page before the write, and of that after it: the write can be undone."""
    numbers = data.draw(st.permutations(range(len(others) + 2)))
    courses = [course_of(number, *place) for number, place in zip(numbers[2:], others, strict=True)]
    request = PageRequest(limit)
    if cursor:
        after = course_of(numbers[1], *cursor[0])  # exists, or existed when the cursor was issued
        request = PageRequest(limit, Cursor(SORT_KEYS[ordering.lstrip("-")](after), cursor[1]))
    old = course_of(numbers[0], *at, is_published=price_afterwards is not None)
    new = course_of(numbers[0], at[0], at[1] if price_afterwards is None else price_afterwards)
    before, after_write = (read([*courses, state], ordering, request, size) for state in (old, new))
    assume(before != after_write)

    changed = {*changed_tags(old, new)}

    for page in (before, after_write):
        assert changed & {*tags_of_page(ordering, request, page)}
    assert {*changed_tags(new, old)} == changed


@given(st.lists(places, max_size=12), st.sampled_from(ORDERINGS), st.integers(1, 4), st.none() | places)
def test_page_has_at_most_eleven_tags_and_its_courses(
    others: list[tuple[int, int]], ordering: str, limit: int, cursor: tuple[int, int] | None
) -> None:
    courses = [course_of(number, *place) for number, place in enumerate(others)]
    sort_key = SORT_KEYS[ordering.lstrip("-")]
    request = PageRequest(limit, Cursor(sort_key(course_of(99, *cursor))) if cursor else None)

    page = read(courses, ordering, request)

    assert len(tags_of_page(ordering, request, page)) <= len(page.items) + 11


@pytest.mark.parametrize("gap_seconds", [1, 60, 3600, 86_400])
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_new_course_leaves_all_pages_but_the_first_and_the_last(ordering: str, gap_seconds: int) -> None:
    """These two have no bound on one side. The courses are of one price."""
    courses = [course_of(number, number * gap_seconds) for number in range(1, 201)]
    new = course_of(201, 201 * gap_seconds)
    pages, request = list[tuple[PageRequest, Page[Course]]](), PageRequest(20)
    while not pages or request.cursor:
        page = read(courses, ordering, request)
        pages.append((request, page))
        request = PageRequest(20, page.next_cursor)
    assert len(pages) == 10

    changed = {*changed_tags(None, new)}

    invalidated = [n for n, (request, page) in enumerate(pages) if changed & {*tags_of_page(ordering, request, page)}]
    assert invalidated == [0, 9]


def test_new_price_leaves_the_pages_of_other_prices() -> None:
    courses = [course_of(number, number, 100 * number) for number in range(100)]
    new = course_of(30, 30, 3305)
    invalidated = []
    for first in range(10, 90):
        request = PageRequest(4, Cursor(price_sort_key(courses[first])))
        page = read(courses, "price", request)
        if {*changed_tags(courses[30], new)} & {*tags_of_page("price", request, page)}:
            invalidated.append(first)

    assert invalidated == [*range(25, 34)], "the cursor's course, four courses, and the one after them"
