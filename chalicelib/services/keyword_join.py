"""The intersection of sorted lists of keys, in few requests however long the lists are: a leapfrog join.

The list that was read furthest is the rarest: its keys, without those that another list is known to lack, are the
candidates. The next request is the one that settles most of them for its capacity units:

- the next keys of the rarest list, if there are fewer candidates than matches wanted;
- the keys of another list, from the first candidate on to which it was not read yet: keys before that are skipped;
- the candidates' items themselves, which decide. They are needed in the end, and are cheaper than the keys of a list
  that has dozens of keys for each candidate.

Leapfrog joins: https://arxiv.org/abs/1210.0481
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from chalicelib.core.pagination import HasSortKey

MAX_REQUESTS = 10
MAX_LISTS = 5  # the first reads cost a request for each, and as many requests remain
FIRST_KEYS = 100  # of several lists: two read capacity units each
MAX_KEYS = 10_000  # about the 1 MB that a query of DynamoDB returns
MAX_GROWTH = 20  # of the keys read of the rarest list, by one request
KEYS_PER_ITEM = 50  # a read capacity unit is 4 kB: one item, or keys of about 80 bytes
FIRST_ITEMS, MAX_ITEMS = 20, 100  # BatchGetItem's limit

Item = TypeVar("Item", bound=HasSortKey)


class ListRead(NamedTuple):
    """A read of up to ``limit`` keys of a list, from a key on, which is included, or from the list's start."""

    name: str
    start: str | None
    limit: int


class Batch(NamedTuple):
    """The keys of one read. ``is_last`` says that the list has no further ones."""

    keys: list[str]
    is_last: bool


class Matches(NamedTuple, Generic[Item]):
    """Items in the order in which they were read: all up to a key, after which there can be more, or up to the end."""

    items: list[Item]
    more_after: str | None


class Source(NamedTuple, Generic[Item]):
    """Where keys and items come from.

    ``read`` makes independent reads at the same time. ``load`` returns those items of keys that match; it decides.
    Keys are descending, or ascending if backward, as those of the pages of a list that is newest first.
    """

    read: Callable[[Sequence[ListRead]], list[Batch]]
    load: Callable[[Sequence[str]], list[Item]]
    backward: bool

    def is_later(self, key: str, other: str) -> bool:
        """Return whether a key follows another one in the order of the reads."""
        return key > other if self.backward else key < other


def find_matches(source: Source[Item], names: Sequence[str], start: str | None, limit: int) -> Matches[Item]:
    """Return up to ``limit`` items after a key that are in all of these lists, by at most MAX_REQUESTS requests.

    Only the first MAX_LISTS lists are read. It returns fewer items, although more can follow, if the requests are used
    up.
    """
    return _Join(source, names, start, limit).run()


class _List:
    """What was read of a list: at least all of its keys up to the end of the last batch that can be matches."""

    def __init__(self, name: str, is_later: Callable[[str, str], bool]) -> None:
        self.name = name
        self.keys: dict[str, None] = {}  # in the order of the reads
        self.batch: list[str] = []
        self.is_complete = False
        self._is_later = is_later

    def add(self, batch: Batch) -> None:
        """Add the keys of a read."""
        self.keys |= dict.fromkeys(batch.keys)
        self.batch = batch.keys
        self.is_complete = batch.is_last

    def covers(self, key: str) -> bool:
        """Return whether it is known if the list has the key."""
        return self.is_complete or not self._is_later(key, self.batch[-1])

    def count_between(self, first: str, last: str) -> int:
        """Return the number of keys read from a key to another one, which are included."""
        return sum(not self._is_later(first, key) and not self._is_later(key, last) for key in self.keys)


class _Join(Generic[Item]):
    def __init__(self, source: Source[Item], names: Sequence[str], start: str | None, limit: int) -> None:
        self._source = source
        self._lists = {name: _List(name, source.is_later) for name in names[:MAX_LISTS]}
        self._reads_all_lists = len(names) <= MAX_LISTS
        self._position = start  # all matches up to it are found
        self._limit = limit
        self._found: list[Item] = []
        self._requests = 0
        self._has_loaded = False

    def run(self) -> Matches[Item]:
        # One key more tells whether more follow, and the start is read again.
        first = max(self._limit + 2, FIRST_KEYS if len(self._lists) > 1 else 0)
        self._read([ListRead(name, self._position, first) for name in self._lists])
        while missing := self._limit - len(self._found):
            rarest, candidates = self._rarest_list(), self._candidates()
            if self._requests == MAX_REQUESTS or (rarest.is_complete and not candidates):
                break
            # The last request is kept for items.
            read = self._next_read(candidates, missing) if self._requests < MAX_REQUESTS - 1 else None
            if read:
                self._read([read])
            elif candidates:
                self._load(candidates, missing)
            else:
                break
        return self._matches()

    def _matches(self) -> Matches[Item]:
        rarest = self._rarest_list()
        if self._candidates():
            return Matches(self._found, self._position)
        return Matches(self._found, None if rarest.is_complete else rarest.batch[-1])

    def _rarest_list(self) -> _List:
        """Return the list that was read furthest. All matches up to there are among its keys."""
        for keyword_list in self._lists.values():
            if keyword_list.is_complete:
                return keyword_list
        furthest = max if self._source.backward else min
        return furthest(self._lists.values(), key=lambda keyword_list: keyword_list.batch[-1])

    def _candidates(self) -> list[str]:
        """Return the keys after the position that no list is known to lack, up to where the rarest list was read."""
        rarest, position = self._rarest_list(), self._position
        others = [keyword_list for keyword_list in self._lists.values() if keyword_list is not rarest]
        keys = (key for key in rarest.keys if position is None or self._source.is_later(key, position))
        return [
            key
            for key in keys
            if all(key in keyword_list.keys or not keyword_list.covers(key) for keyword_list in others)
        ]

    def _next_read(self, candidates: list[str], missing: int) -> ListRead | None:
        """Return the next read of a list, or None if the candidates' items are next."""
        rarest = self._rarest_list()
        behind = [
            keyword_list for keyword_list in self._lists.values() if self._is_worth_reading(keyword_list, candidates)
        ]
        ahead = 0 if rarest.is_complete else self._estimate_remaining_keys(candidates, missing, behind)
        if len(candidates) <= missing and not rarest.is_complete:
            return ListRead(rarest.name, rarest.batch[-1], _batch_size(rarest, ahead))
        reads = []
        for keyword_list in behind:
            first = next(key for key in candidates if not keyword_list.covers(key))
            if first in candidates[: missing + 1]:
                keys = max(ahead, rarest.count_between(first, candidates[-1]))
                reads.append(
                    ListRead(keyword_list.name, first, _batch_size(keyword_list, keys * self._density(keyword_list)))
                )
        return min(reads, key=lambda read: read.limit, default=None)

    def _is_worth_reading(self, keyword_list: _List, candidates: list[str]) -> bool:
        """Return whether a list costs less than the items of the candidates on to which it was not read."""
        unknown = [key for key in candidates if not keyword_list.covers(key)]
        if not unknown:
            return False
        keys = self._rarest_list().count_between(unknown[0], unknown[-1]) * self._density(keyword_list)
        return keys <= KEYS_PER_ITEM * len(unknown)

    def _density(self, keyword_list: _List) -> float:
        """Return how many keys a list has for each key of the rarest one, in its last batch."""
        return len(keyword_list.batch) / max(
            self._rarest_list().count_between(keyword_list.batch[0], keyword_list.batch[-1]), 1
        )

    def _estimate_remaining_keys(self, candidates: list[str], missing: int, behind: list[_List]) -> int:
        """Return how many more keys of the rarest list are likely to contain the missing matches."""
        keys = self._rarest_list().keys
        settled = sum(all(keyword_list.covers(key) for keyword_list in behind) for key in keys)
        matches = sum(all(keyword_list.covers(key) for keyword_list in behind) for key in candidates)
        remaining = settled * (missing + 1 - matches) // (len(self._found) + matches + 1)
        return min(remaining, MAX_GROWTH * len(keys))

    def _read(self, reads: Sequence[ListRead]) -> None:
        self._requests += len(reads)
        for read, batch in zip(reads, self._source.read(reads), strict=True):
            self._lists[read.name].add(batch)

    def _load(self, candidates: list[str], missing: int) -> None:
        """Load items of the first candidates: as many as are missing if all lists have them, else more each time."""
        first, lists = candidates[:missing], self._lists.values()
        count = missing
        if not self._reads_all_lists or any(not keyword_list.covers(key) for key in first for keyword_list in lists):
            is_last = self._requests == MAX_REQUESTS - 1
            count = MAX_ITEMS if self._has_loaded or is_last else max(missing, FIRST_ITEMS)
        keys = candidates[: min(count, MAX_ITEMS)]
        self._requests += 1
        self._has_loaded = True
        items = self._source.load(keys)
        self._found += items[:missing]
        self._position = keys[-1] if len(items) <= missing else self._found[-1].sort_key


def _batch_size(keyword_list: _List, estimate: float) -> int:
    """Return a limit for a list: half as high again as an estimate, so that one read usually suffices.

    It is at least twice the last keyword_list: where estimates are wrong, the reads grow.
    """
    return min(max(int(estimate * 1.5), 2 * len(keyword_list.batch)), MAX_KEYS)
