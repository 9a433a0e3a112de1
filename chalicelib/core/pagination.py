"""Pages of an ordered list, by position: stable while others write, and no page costs more than another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

MAX_PAGE_BYTES = 2_500_000
"""A Lambda answers with 6 MB at most, and JSON within JSON takes up to twice its bytes."""


class Positioned(Protocol):
    """A row that knows its place in its list."""

    @property
    def position(self) -> str:
        """Text that sorts as the list does."""


@dataclass(frozen=True)
class Place:
    """A place between two rows: where a page starts, and which way it goes."""

    position: str
    back: bool = False


@dataclass(frozen=True)
class PageRequest:
    """Which page is wanted: up to ``limit`` rows from a place, or from the list's start."""

    limit: int
    place: Place | None = None


Row = TypeVar("Row", bound=Positioned)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A page in the list's order, and the places of its neighbours."""

    items: list[Item]
    next: Place | None
    previous: Place | None


def turn_to(request: PageRequest, fetch: Callable[[str | None, bool, int], list[Row]]) -> Page[Row]:
    """The page that is asked for.

    ``fetch(after, back, limit)`` gives rows behind a position in the list's order, or, going back,
    those before it in reversed order. One row more than wanted tells whether there is another page.
    """
    place = request.place
    back = place is not None and place.back
    rows = fetch(place.position if place else None, back, request.limit + 1)
    more = len(rows) > request.limit
    rows = rows[: request.limit]
    if back:
        rows.reverse()
    has_next, has_previous = (True, more) if back else (more, place is not None)
    if not rows:  # the way back is there even if what was on it is gone
        return Page([], Place(place.position) if place and back else None, None)
    return Page(
        rows,
        Place(rows[-1].position) if has_next else None,
        Place(rows[0].position, back=True) if has_previous else None,
    )


def fitted(page: Page[Row], sizes: Sequence[int], request: PageRequest) -> Page[Row]:
    """The page, or as much of it as fits into one answer: at least one row, from where it is come to.

    ``sizes`` are the bytes of each row's item.
    """
    back = request.place is not None and request.place.back
    total, keep = 0, 0
    for size in reversed(sizes) if back else sizes:
        total += size
        if keep and total > MAX_PAGE_BYTES:
            break
        keep += 1
    if keep == len(page.items):
        return page
    if back:
        rows = page.items[-keep:]
        return Page(rows, page.next, Place(rows[0].position, back=True))
    rows = page.items[:keep]
    return Page(rows, Place(rows[-1].position), page.previous)
