import string
from dataclasses import dataclass

import pytest

from chalicelib.core.errors import InvalidInput
from chalicelib.core.pagination import Cursor, Page, PageRequest, paginate
from chalicelib.web import cursors


@dataclass
class Row:
    sort_key: str


class Shelf:
    """A list that is newest first, as the database keeps it."""

    def __init__(self, positions: str) -> None:
        self.positions = sorted(positions)

    def fetch(self, after: str | None, backward: bool, limit: int) -> list[Row]:
        ordered = self.positions if backward else self.positions[::-1]
        behind = [p for p in ordered if after is None or (p > after if backward else p < after)]
        return [Row(sort_key) for sort_key in behind[:limit]]

    def page(self, place: Cursor | None = None, limit: int = 3) -> Page[Row]:
        return paginate(PageRequest(limit, place), self.fetch)


def text(page: Page[Row]) -> str:
    return "".join(row.sort_key for row in page.items)


@pytest.mark.parametrize("count", range(10))
def test_paging_forward_and_backward_visits_each_row_once(count: int) -> None:
    shelf = Shelf("abcdefghij"[:count])
    pages = [shelf.page()]
    while pages[-1].next_cursor:
        pages.append(shelf.page(pages[-1].next_cursor))
    backward = [pages[-1]]
    while backward[-1].previous_cursor:
        backward.append(shelf.page(backward[-1].previous_cursor))

    assert "".join(map(text, pages)) == "".join(shelf.positions[::-1])
    assert [text(page) for page in backward[::-1]] == [text(page) for page in pages]
    assert pages[0].previous_cursor is None


def test_concurrent_writes_shift_no_page() -> None:
    shelf = Shelf("bdfhj")
    first = shelf.page(limit=2)
    shelf.positions = sorted("bdfj" + "klm" + "eg")  # h was deleted after it was read; others were added

    second = shelf.page(first.next_cursor, limit=10)

    assert text(first) == "jh"
    assert text(second) == "gfedb"


def test_cursor_round_trips(aws: None) -> None:
    place = Cursor("2026-11-22#é", backward=True)

    assert cursors.decode(cursors.encode(place, "scope"), "scope") == place


def test_cursor_of_another_scope_or_changed_is_rejected(aws: None) -> None:
    cursor = cursors.encode(Cursor("x"), "scope")
    changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")

    for text_, scope in ((cursor, "other"), (changed, "scope"), ("", "scope"), ("é", "scope"), ("A" * 50, "scope")):
        with pytest.raises(InvalidInput) as refused:
            cursors.decode(text_, scope)
        assert [fault.field for fault in refused.value.fields] == ["cursor"]


@pytest.mark.parametrize("length", range(6))
def test_other_spelling_of_a_cursor_is_rejected(aws: None, length: int) -> None:
    cursor = cursors.encode(Cursor("x" * length), "scope")
    letters = string.ascii_letters + string.digits + "-_"
    spellings = [cursor[:-1] + letter for letter in letters if letter != cursor[-1]]
    spellings += [cursor + "=", cursor + "\n", cursor[:4] + " " + cursor[4:], cursor[:4] + "!" + cursor[4:]]

    for spelling in spellings:
        with pytest.raises(InvalidInput):
            cursors.decode(spelling, "scope")


def test_way_back_leads_on_from_an_emptied_page() -> None:
    shelf = Shelf("abcdef")
    second = shelf.page(shelf.page(limit=2).next_cursor, limit=2)
    shelf.positions = sorted("abcd")  # the rows of the first page were deleted

    emptied = shelf.page(second.previous_cursor, limit=2)

    assert (text(second), text(emptied), emptied.previous_cursor) == ("dc", "", None)
    assert emptied.next_cursor is not None
    assert text(shelf.page(emptied.next_cursor, limit=9)).endswith("cba")
