"""Writes around a cache that loses some commands: no reader gets the previous state afterwards.

The commands are fakes: a test says which of them get lost. Those of a real Valkey are in tests/integration/cache.
"""

from collections.abc import Callable, Iterator

import pytest

from chalicelib.adapters.cache import read_through
from chalicelib.adapters.cache.read_through import invalidating
from tests.unit.fake_clock import FakeClock

BEGIN, END = "begin", "end"


class Cache(FakeClock):
    """Records the scripts of writers, and loses those that a test selects."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[str] = []
        self.is_lost: Callable[[str, int], bool] = lambda command, number: False

    def run(self, script: str, scopes: tuple[str, ...], *arguments: object) -> bool:
        assert scopes == ("a", "b")
        command = BEGIN if script is read_through._BEGIN else END
        number = self.commands.count(command)
        self.commands.append(command)
        return not self.is_lost(command, number)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache]:
    cache = Cache()
    monkeypatch.setattr(read_through, "_run_for_scopes", cache.run)
    monkeypatch.setattr(read_through, "is_enabled", lambda: True)
    monkeypatch.setattr(read_through, "time", cache)
    yield cache


class Refused(Exception):
    pass


def write(error: Exception | None = None) -> None:
    with invalidating("a", "b", not_written_errors=(Refused,)):
        if error:
            raise error


def test_write_invalidates_before_and_after(cache: Cache) -> None:
    with invalidating("a", "b"):
        assert cache.commands == [BEGIN]
    assert cache.commands == [BEGIN, END]
    assert cache.now == 0


def test_lost_begin_is_repeated_briefly(cache: Cache) -> None:
    cache.is_lost = lambda command, number: command == BEGIN and number < 2

    write()

    assert cache.commands == [BEGIN] * 3 + [END]
    assert 0 < cache.now < 0.5


def test_write_without_a_marker_ends_with_an_invalidation(cache: Cache) -> None:
    cache.is_lost = lambda command, number: command == BEGIN

    write()

    assert cache.commands == [BEGIN] * 3 + [END]


def test_lost_end_of_a_marked_write_waits_for_nothing(cache: Cache) -> None:
    """Under the marker no reader stores an entry."""
    cache.is_lost = lambda command, number: command == END

    write()

    assert cache.commands == [BEGIN, END, END]
    assert cache.now == 0


def test_write_without_cache_waits_until_all_generations_have_expired(cache: Cache) -> None:
    cache.is_lost = lambda command, number: True

    write()

    assert 5 + 1 - 0.11 <= cache.now - 0.3 <= 5 + 1 + 0.11, "5 seconds of a generation, and one more"


def test_wait_ends_when_the_cache_is_back(cache: Cache) -> None:
    cache.is_lost = lambda command, number: command == BEGIN or number < 9

    write()

    assert cache.commands.count(END) == 10
    assert cache.now < 1.5


def test_refused_write_removes_its_marker(cache: Cache) -> None:
    with pytest.raises(Refused):
        write(Refused())
    assert cache.commands == [BEGIN, END]


def test_write_of_unknown_outcome_keeps_its_marker(cache: Cache) -> None:
    with pytest.raises(TimeoutError):
        write(TimeoutError())
    assert cache.commands == [BEGIN]


def test_write_of_unknown_outcome_without_a_marker_sets_one(cache: Cache) -> None:
    cache.is_lost = lambda command, number: command == BEGIN and number < 3

    with pytest.raises(TimeoutError):
        write(TimeoutError())
    assert cache.commands == [BEGIN] * 4


def test_stage_without_a_cache_runs_no_command(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_through, "is_enabled", lambda: False)

    write()

    assert cache.commands == []
