"""Queries of rows with a pending email."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol, TypeVar

_READ_BATCH_SIZE = 100  # BatchGetItem's limit


class HasPendingEmail(Protocol):
    """A row with an email that is not sent yet."""

    @property
    def sort_key(self) -> str:
        """When the email was requested, and the row's keys."""

    @property
    def email_pending(self) -> str | None:
        """The shard, or None."""


Row = TypeVar("Row", bound=HasPendingEmail)


def read_in_batches(keys: Iterator[Row], read: Callable[[list[Row]], Iterable[Row]]) -> Iterator[tuple[str, list[Row]]]:
    """Return the rows of an index whose email is still pending, oldest first, in batches.

    ``read`` returns the rows of keys by a consistent read. Each batch comes with the sort key at which it ends.
    """
    while batch := [*islice(keys, _READ_BATCH_SIZE)]:
        pending = [row for row in read(batch) if row.email_pending]
        yield str(batch[-1].sort_key), sorted(pending, key=lambda row: str(row.sort_key))
