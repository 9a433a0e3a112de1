"""Keyset pagination: a page starts at a sort key, which concurrent writes cannot shift; all pages cost the same."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

# Lambda's limit of a response is 6 MB, and JSON within JSON takes up to twice its bytes.
MAX_PAGE_BYTES = 2_500_000


class HasSortKey(Protocol):
    """A row that knows its sort key in the list."""

    @property
    def sort_key(self) -> str:
        """Text that sorts as the list does."""


class Cursor(NamedTuple):
    """Where a page starts: after a sort key in the list's order, or before it if ``backward``."""

    sort_key: str
    backward: bool = False


class PageRequest(NamedTuple):
    """A request for up to ``limit`` rows from a cursor, or from the start of the list."""

    limit: int
    cursor: Cursor | None = None

    @property
    def is_backward(self) -> bool:
        """Whether the page before a sort key is requested."""
        return self.cursor is not None and self.cursor.backward


Row = TypeVar("Row", bound=HasSortKey)
Item = TypeVar("Item")


class Page(NamedTuple, Generic[Item]):
    """A page in the list's order, and the cursors of its neighbours."""

    items: list[Item]
    next_cursor: Cursor | None
    previous_cursor: Cursor | None
    # The last sort key that was read for the page, or None if that was the list's end.
    read_up_to: str | None = None


def paginate(request: PageRequest, fetch: Callable[[str | None, bool, int], list[Row]]) -> Page[Row]:
    """Return one page, fetching one extra row to detect a further page.

    ``fetch(after, backward, limit)`` returns the rows after a sort key in the list's order or, if backward, those
    before it in reverse order.
    """
    cursor, backward = request.cursor, request.is_backward
    rows = fetch(cursor.sort_key if cursor else None, backward, request.limit + 1)
    has_more = len(rows) > request.limit
    read_up_to = rows[-1].sort_key if has_more else None
    rows = rows[: request.limit]
    if backward:
        rows.reverse()
    has_next, has_previous = (True, has_more) if backward else (has_more, cursor is not None)
    if not rows:  # the rows of this page were deleted: the client can still turn around
        return Page([], Cursor(cursor.sort_key) if cursor and backward else None, None)
    return Page(
        rows,
        Cursor(rows[-1].sort_key) if has_next else None,
        Cursor(rows[0].sort_key, backward=True) if has_previous else None,
        read_up_to,
    )


def trim_to_size(page: Page[Row], sizes: Sequence[int], request: PageRequest) -> Page[Row]:
    """Return the page, or as many of its rows as fit into one response: at least one.

    ``sizes`` are the bytes of each row's item.
    """
    total, count = 0, 0
    for size in reversed(sizes) if request.is_backward else sizes:
        total += size
        if count and total > MAX_PAGE_BYTES:
            break
        count += 1
    if count == len(page.items):
        return page
    if request.is_backward:
        rows = page.items[-count:]
        return Page(rows, page.next_cursor, Cursor(rows[0].sort_key, backward=True), page.read_up_to)
    rows = page.items[:count]
    return Page(rows, Cursor(rows[-1].sort_key), page.previous_cursor, page.read_up_to)
