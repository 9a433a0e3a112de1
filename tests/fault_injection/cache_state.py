"""The row that says whether the cache is in use, in memory, for tests without a database."""

import pytest

from chalicelib.adapters.cache import switch
from chalicelib.adapters.cache.switch import State


class CacheStateRow:
    """Replaces the row. ``error`` is raised by its next writes; ``rivals`` are stored by others before them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = State()
        self.reads = 0
        self.error: Exception | None = None
        self.rivals: list[State] = []
        monkeypatch.setattr(switch, "_read", self._read)
        monkeypatch.setattr(switch, "_write", self._write)

    def _read(self) -> State:
        self.reads += 1
        return self.state

    def _write(self, old: State, new: State) -> bool:
        if self.error:
            raise self.error
        if self.rivals:
            self.state = self.rivals.pop(0)
        if self.state != old:
            return False
        self.state = new
        return True
