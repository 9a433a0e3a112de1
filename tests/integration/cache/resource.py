"""A cached resource whose reads of the database are counted."""

import itertools
import threading
import time
from contextlib import AbstractContextManager
from typing import Any

from chalicelib.adapters.cache import invalidation, keys, read_through, switch
from chalicelib.adapters.cache.entries import Entry
from chalicelib.adapters.cache.invalidation import Change

_numbers = itertools.count()


class Resource:
    """The cached resource: a number in a database that counts its reads. Its tag is "number"."""

    def __init__(self) -> None:
        self.scope = f"resource:{next(_numbers)}"
        self.entry = Entry(self.scope, "it", str, int, lambda _: ["number"])
        self.number = 1
        self.loads = 0
        self.load_seconds = 0.0
        self._lock = threading.Lock()

    @property
    def current_scope(self) -> str:
        """The scope in the keys of the current epoch."""
        return keys.scope_in_epoch(self.scope, switch.state().epoch)

    @property
    def entry_in_epoch(self) -> Entry[int]:
        """The entry with the keys of the current epoch."""
        return self.entry._replace(scope=self.current_scope)

    def load(self) -> int:
        with self._lock:
            self.loads += 1
        number = self.number
        time.sleep(self.load_seconds)
        return number

    def read(self) -> tuple[int, str]:
        value = read_through.get_or_load(self.entry, self.load)
        assert value is not None
        return value, read_through.cache_status.get()

    def invalidating(self, *tags: str, **options: Any) -> AbstractContextManager[None]:
        """Invalidate the entries with these tags around a write, or the whole scope."""
        return invalidation.invalidating(Change(self.scope, tags), **options)

    def raise_to(self, number: int, *tags: str) -> None:
        with self.invalidating(*tags):
            self.number = number
