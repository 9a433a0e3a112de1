"""Pages of an ordered list, by position: stable while others write, and no page costs more than another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


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
    if not rows:
        return Page([], None, None)
    return Page(
        rows,
        Place(rows[-1].position) if has_next else None,
        Place(rows[0].position, back=True) if has_previous else None,
    )
