"""Properties that hold for all inputs: lists under random writes, keywords, cursors, timestamps and IDs."""

import time
import unicodedata
from bisect import insort
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import clock, ids
from chalicelib.core.pagination import Cursor, Page, PageRequest, paginate, trim_to_size
from chalicelib.models.course_listings import keywords, tokenize
from chalicelib.security import signing_keys
from chalicelib.security.signing_keys import SigningKeys, _Key
from chalicelib.web import cursors

KEYS = SigningKeys((_Key("1970-01-01T00:00:00Z", 0.0, "x" * 64),))
YEAR_1000 = datetime(1000, 1, 1)  # noqa: DTZ001 - Hypothesis adds the time zone
numbers = st.integers(0, 30)
words = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd", "Mn", "Mc"]), min_size=1, max_size=80)


@dataclass
class Row:
    sort_key: str


class Shelf:
    """A list, newest first, in which rows are added and deleted between pages."""

    def __init__(self, rows: set[int]) -> None:
        self.keys = sorted(f"{row:03d}" for row in rows)

    def fetch(self, after: str | None, backward: bool, limit: int) -> list[Row]:
        ordered = self.keys if backward else self.keys[::-1]
        rest = [key for key in ordered if after is None or (key > after if backward else key < after)]
        return [Row(key) for key in rest[:limit]]

    def page(self, limit: int, cursor: Cursor | None = None, size: int | None = None) -> Page[Row]:
        request = PageRequest(limit, cursor)
        page = paginate(request, self.fetch)
        return page if size is None else trim_to_size(page, [size] * len(page.items), request)

    def change(self, added: set[int], deleted: set[int]) -> None:
        self.keys = [key for key in self.keys if int(key) not in deleted]
        for row in added:
            if f"{row:03d}" not in self.keys:
                insort(self.keys, f"{row:03d}")


@given(
    st.sets(numbers),
    st.integers(1, 7),
    st.lists(st.tuples(st.sets(numbers, max_size=3), st.sets(numbers, max_size=3)), max_size=40),
    st.sampled_from([None, 100_000, 1_000_000, 2_500_001]),
)
def test_every_unchanged_row_is_visited_exactly_once(
    rows: set[int], limit: int, changes: list[tuple[set[int], set[int]]], size: int | None
) -> None:
    """Forward by `next`, then backward by `previous`, while other rows come and go."""
    shelf = Shelf(rows)
    touched = {row for added, deleted in changes for row in added | deleted}
    unchanged = sorted(f"{row:03d}" for row in rows - touched)
    remaining = iter(changes)

    def walk(page: Page[Row], *, backward: bool) -> tuple[list[str], Page[Row]]:
        visited, steps = list[str](), 0
        while True:
            assert len(page.items) <= limit
            assert [row.sort_key for row in page.items] == sorted((row.sort_key for row in page.items), reverse=True)
            keys = [row.sort_key for row in page.items]
            visited = keys + visited if backward else visited + keys
            cursor = page.previous_cursor if backward else page.next_cursor
            if cursor is None:
                return visited, page
            shelf.change(*next(remaining, (set(), set())))
            page = shelf.page(limit, cursor, size)
            steps += 1
            assert steps < 200

    forward, last = walk(shelf.page(limit, size=size), backward=False)
    assert [key for key in forward if key in unchanged] == unchanged[::-1]
    assert len(forward) == len(set(forward))
    if last.items and last.previous_cursor:
        backward, _ = walk(last, backward=True)
        assert [key for key in backward if key in unchanged] == unchanged[::-1]


@given(st.lists(words, max_size=90))
def test_keywords_are_found_whatever_their_case_and_accents(texts: list[str]) -> None:
    text = " ".join(texts)
    found = tokenize(text)

    assert tokenize(text.upper()) == tokenize(text.upper().lower()) or not text.isascii()
    assert tokenize(" ".join(found)) == found, "a keyword is its own keyword"
    assert tokenize(unicodedata.normalize("NFD", text)) == tokenize(unicodedata.normalize("NFC", text)) == found
    assert len(found) == len(set(found))
    assert all(0 < len(word) <= 64 for word in found)
    assert keywords(text) == found[:60]


@given(st.text(max_size=200), st.text(max_size=200))
def test_keywords_of_the_title_are_first(title: str, description: str) -> None:
    found = tokenize(title, description)

    assert found[: len(tokenize(title))] == tokenize(title)
    assert set(found) == {*tokenize(title), *tokenize(description)}


@given(st.text(max_size=100), st.booleans(), st.text(max_size=50))
def test_cursor_round_trips(sort_key: str, backward: bool, scope: str) -> None:
    signing_keys._cached = (time.time(), KEYS)
    try:
        cursor = Cursor(sort_key, backward)
        text = cursors.encode(cursor, scope)

        assert cursors.decode(text, scope) == cursor
        assert text.isascii() and not set(text) & set("=+/ ")
    finally:
        signing_keys.reset()


def test_cursor_of_an_earlier_deploy_is_valid() -> None:
    signing_keys._cached = (time.time(), KEYS)
    try:
        text = "vaMuKnL2DQpFfIAYvEFnH1siMjAyNi0xMS0yMiNhIix0cnVlXQ"
        assert cursors.decode(text, "/api/v1/courses/ {} student") == Cursor("2026-11-22#a", backward=True)
        assert cursors.encode(Cursor("2026-11-22#a", backward=True), "/api/v1/courses/ {} student") == text
    finally:
        signing_keys.reset()


@given(st.datetimes(YEAR_1000), st.integers(-12, 14))
def test_timestamp_round_trips_and_sorts(local: datetime, hours: int) -> None:
    time = local.replace(tzinfo=timezone(timedelta(hours=hours)))
    text = clock.format_timestamp(time)

    assert clock.parse_timestamp(text) == time
    assert len(text) == 27 and text.endswith("Z")
    later = clock.format_timestamp(time + timedelta(microseconds=1)) if time.astimezone(UTC).year < 9999 else "9999"
    assert text < later


@given(st.text(max_size=50))
def test_text_that_is_no_id_is_rejected(text: str) -> None:
    alphabet = set("0123456789abcdefghjkmnpqrstvwxyz")
    is_clean = set(text) <= alphabet

    assert ids.is_valid_id(text) == (is_clean and len(text) == 16)
    assert (ids.parse_lesson_id(text) is not None) == (is_clean and len(text) == 24)
    assert (ids.parse_enrollment_id(text) is not None) == (is_clean and len(text) == 40)


def test_ids_round_trip() -> None:
    for _ in range(100):
        student, course, suffix = ids.new_id(), ids.new_id(), ids.new_suffix()
        assert ids.is_valid_id(student)
        assert ids.parse_lesson_id(ids.lesson_id(course, suffix)) == (course, suffix)
        assert ids.parse_enrollment_id(ids.enrollment_id(student, course, suffix)) == (student, course, suffix)
