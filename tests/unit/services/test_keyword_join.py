"""The join of keywords against a plain intersection, on lists in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.services import keyword_join
from chalicelib.services.keyword_join import Batch, ListRead, Source, find_matches

KEYS = st.sets(st.integers(0, 60))
LISTS = st.lists(KEYS | KEYS.map(lambda keys: {*range(61)} - keys), min_size=1, max_size=8)  # sparse and dense ones
CHANGE = st.tuples(st.integers(0, 7), st.integers(0, 60), st.booleans())


@dataclass
class Row:
    sort_key: str


@dataclass
class Catalogue:
    """Lists of keys, of which some items do not match, and what was read of them."""

    lists: list[set[int]]
    mismatches: set[int] = field(default_factory=set)
    max_batch: int = 10_000
    keys_read: int = 0
    items_read: int = 0
    requests: int = 0

    @property
    def matches(self) -> set[int]:
        return set.intersection(*self.lists) - self.mismatches

    def page(self, limit: int, start: str | None = None, *, backward: bool = False) -> tuple[list[int], str | None]:
        """Return the matches of a page and where it leads on."""
        lists = [sorted((f"{key:06d}" for key in keys), reverse=not backward) for keys in self.lists]
        matches = self.matches

        def read(one: ListRead) -> Batch:
            keys = lists[int(one.name)]
            rest = [key for key in keys if one.start is None or (key >= one.start if backward else key <= one.start)]
            batch = rest[: min(one.limit, self.max_batch)]
            self.keys_read += len(batch)
            return Batch(batch, len(batch) == len(rest))

        def read_all(reads: Sequence[ListRead]) -> list[Batch]:
            self.requests += len(reads)
            return [read(one) for one in reads]

        def load(keys: Sequence[str]) -> list[Row]:
            assert 0 < len(keys) <= 100
            assert sorted(keys, reverse=not backward) == [*keys]
            self.requests += 1
            self.items_read += len(keys)
            return [Row(key) for key in keys if int(key) in matches]

        self.keys_read = self.items_read = self.requests = 0
        names = [str(number) for number in range(len(self.lists))]
        found = find_matches(Source(read_all, load, backward), names, start, limit)
        assert self.requests <= 10
        assert len(found.items) <= limit
        return [int(row.sort_key) for row in found.items], found.more_after

    def walk(self, limit: int) -> list[list[int]]:
        pages, start = list[list[int]](), None
        while not pages or start:
            page, start = self.page(limit, start)
            pages.append(page)
        return pages


@contextmanager
def small_limits() -> Iterator[None]:
    """Limits at which small lists take several reads and pages."""
    with pytest.MonkeyPatch.context() as patch:
        limits = {"FIRST_KEYS": 2, "MAX_KEYS": 5, "MAX_GROWTH": 2, "KEYS_PER_ITEM": 3, "FIRST_ITEMS": 2, "MAX_ITEMS": 3}
        for name, value in limits.items():
            patch.setattr(keyword_join, name, value)
        yield


@given(
    LISTS,
    KEYS,
    st.integers(1, 5),
    st.booleans(),
    st.integers(2, 6),
    st.lists(CHANGE, max_size=20),
)
def test_unchanged_matches_are_found_exactly_once_in_order(
    lists: list[set[int]],
    mismatches: set[int],
    limit: int,
    backward: bool,
    max_batch: int,
    changes: list[tuple[int, int, bool]],
) -> None:
    """Whatever is added and deleted between pages, and however little a read returns."""
    catalogue = Catalogue(lists, mismatches, max_batch)
    touched = {key for number, key, _ in changes if number < len(lists)}
    unchanged = catalogue.matches - touched
    remaining = iter(changes)
    with small_limits():
        found, more_after = catalogue.page(limit, backward=backward)
        while more_after:
            number, key, is_added = next(remaining, (0, 0, 0 in lists[0]))
            if number < len(lists):
                (lists[number].add if is_added else lists[number].discard)(key)
            page, following = catalogue.page(limit, more_after, backward=backward)
            assert following != more_after
            found, more_after = found + page, following

    assert found == sorted({*found}, reverse=not backward)
    assert [key for key in found if key in unchanged] == sorted(unchanged, reverse=not backward)


@given(LISTS, st.integers(1, 5), st.integers(0, 60), st.booleans())
def test_page_from_a_key_excludes_it(lists: list[set[int]], limit: int, start: int, backward: bool) -> None:
    catalogue = Catalogue(lists)
    expected = sorted(key for key in catalogue.matches if (key > start if backward else key < start))
    expected = (expected if backward else expected[::-1])[:limit]

    assert catalogue.page(limit, f"{start:06d}", backward=backward)[0] == expected


def random_lists(size: int, *shares: float) -> list[set[int]]:
    """Return lists of these shares of the keys, independent of each other."""
    random = Random(1)
    return [{key for key in range(size) if random.random() < share} for share in shares]


def disjoint_but(match: int, lists: list[set[int]]) -> Catalogue:
    """Return lists that have this key in common and no other."""
    for key in set.intersection(*lists):
        lists[key % len(lists)].discard(key)
    for one in lists:
        one.add(match)
    return Catalogue(lists)


@dataclass(frozen=True)
class Case:
    """What the first page of 20 may cost."""

    catalogue: Catalogue
    found: int
    requests: int
    keys: int
    items: int


CASES = {
    "one list": lambda: Case(Catalogue([set(range(5_000))]), 20, 2, 22, 20),
    "equal lists": lambda: Case(Catalogue([set(range(5_000))] * 2), 20, 3, 200, 20),
    "a common and a unique word": lambda: Case(Catalogue([set(range(50_000)), {7}]), 1, 3, 101, 1),
    "a word of all courses and a rare one": lambda: Case(
        Catalogue([set(range(50_000)), set(range(0, 50_000, 100))]), 20, 3, 200, 20
    ),
    "a common and a rare word": lambda: Case(
        Catalogue([set(range(0, 50_000, 2)), {*range(1, 80, 2), 0}]), 1, 4, 141, 41
    ),
    "a common and a frequent word": lambda: Case(Catalogue(random_lists(100_000, 0.5, 0.005)), 20, 4, 200, 120),
    "two frequent words": lambda: Case(Catalogue(random_lists(100_000, 0.05, 0.05)), 20, 6, 3_000, 20),
    "three frequent words": lambda: Case(Catalogue(random_lists(100_000, 0.1, 0.1, 0.1)), 20, 8, 16_000, 20),
    "three frequent words, once together": lambda: Case(
        disjoint_but(0, random_lists(100_000, 0.1, 0.1, 0.1)), 1, 10, 30_000, 100
    ),
    "two common words, once together": lambda: Case(
        disjoint_but(0, random_lists(50_000, 0.3, 0.2)), 1, 10, 30_000, 100
    ),
    "sixty words, once together": lambda: Case(
        disjoint_but(0, random_lists(20_000, *[0.03] * 60)), 1, 10, 5_000, 100
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_first_page_finds_the_matches_at_this_cost(name: str) -> None:
    case = CASES[name]()
    catalogue = case.catalogue

    found, more_after = catalogue.page(20)

    assert found == sorted(catalogue.matches, reverse=True)[: case.found]
    assert (more_after is None) == (len(catalogue.matches) == case.found)
    assert catalogue.requests <= case.requests
    assert catalogue.keys_read <= case.keys
    assert catalogue.items_read <= case.items


def test_newest_courses_do_not_mislead_about_the_rarest_word() -> None:
    """The newest 300 of 30,000 have the word, and hardly any before."""
    [introduction] = random_lists(30_000, 0.3)
    catalogue = Catalogue([introduction, {*range(29_700, 30_000), 9, 5}])

    pages = catalogue.walk(20)

    assert [key for page in pages for key in page] == sorted(catalogue.matches, reverse=True)
    assert all(len(page) == 20 for page in pages[:-1])


def test_page_is_filled_although_items_do_not_match() -> None:
    catalogue = Catalogue([set(range(1_000)), set(range(1_000))], mismatches=set(range(960, 1_000)))

    assert catalogue.page(20) == ([*range(959, 939, -1)], "000940")
    assert catalogue.items_read == 60


def test_used_up_requests_lead_on_to_the_match() -> None:
    """No other page is empty: two lists of half of all keys, with a single key in common, are the worst case."""
    catalogue = disjoint_but(0, random_lists(100_000, 0.5, 0.5))

    pages = catalogue.walk(20)

    assert [page for page in pages if page] == [[0]]
    assert pages[-1] == [0] and len(pages) <= 2


def test_items_loaded_beyond_a_page_are_on_the_next() -> None:
    """More items than are missing are loaded at a time if there are lists that are not read."""
    catalogue = Catalogue([set(range(100))] * 7)

    pages = catalogue.walk(3)

    assert [key for page in pages for key in page] == [*range(99, -1, -1)]
    assert {len(page) for page in pages[:-1]} == {3}


def test_items_decide_about_lists_that_are_not_read() -> None:
    """The sixth list has every fourth key: the page is full after 20 and 80 items."""
    catalogue = Catalogue([*[set(range(1_000))] * 5, set(range(0, 1_000, 4))])

    assert catalogue.page(20)[0] == [*range(996, 916, -4)]
    assert (catalogue.requests, catalogue.items_read) == (7, 100)
