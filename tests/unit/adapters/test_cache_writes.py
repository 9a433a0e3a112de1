"""Writes around a cache that loses some commands: no reader gets the previous state afterwards.

The commands are fakes: a test says which of them get lost. Those of a real Valkey are in tests/integration/cache.
"""

from collections.abc import Callable

import pytest

from chalicelib.adapters.cache import client as cache_client
from chalicelib.adapters.cache import invalidation, read_through, switch
from chalicelib.adapters.cache.entries import Entry
from chalicelib.adapters.cache.invalidation import Change, invalidating
from chalicelib.adapters.cache.read_through import get_or_load
from chalicelib.adapters.cache.switch import State
from chalicelib.core import retries
from chalicelib.core.errors import Throttled
from tests.fault_injection.cache_state import CacheStateRow
from tests.unit.fake_clock import FakeClock

BEGIN, END = "begin", "end"
START = 1_000_000.0
A, B = Change("a"), Change("b", ("tag",))


class Cache(FakeClock):
    """Records the scripts of writers, and loses those that a test selects."""

    def __init__(self) -> None:
        super().__init__(START)
        self.commands: list[str] = []
        self.changes: set[tuple[Change, ...]] = set()
        self.is_lost: Callable[[str, int], bool] = lambda command, number: False

    @property
    def waited(self) -> float:
        return self.now - START

    def run(self, script: str, changes: tuple[Change, ...], writer: str) -> bool:
        self.changes.add(changes)
        command = BEGIN if script is invalidation._BEGIN else END
        number = self.commands.count(command)
        self.commands.append(command)
        return not self.is_lost(command, number)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Cache:
    cache = Cache()
    monkeypatch.setattr(invalidation, "_run_script", cache.run)
    monkeypatch.setattr(cache_client, "is_enabled", lambda: True)
    for module in (invalidation, read_through, switch, retries):
        monkeypatch.setattr(module, "time", cache)
    switch.reset()
    return cache


@pytest.fixture
def row(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> CacheStateRow:
    return CacheStateRow(monkeypatch)


class Refused(Exception):
    pass


def write(error: BaseException | None = None) -> None:
    with invalidating(A, B, not_written_errors=(Refused,)):
        if error:
            raise error


def lose_all(cache: Cache) -> None:
    cache.is_lost = lambda command, number: True


def test_write_invalidates_before_and_after(cache: Cache, row: CacheStateRow) -> None:
    with invalidating(A, B):
        assert cache.commands == [BEGIN]
    assert cache.commands == [BEGIN, END]
    assert cache.changes == {(Change("a@0"), Change("b@0", ("tag",)))}
    assert (cache.waited, row.state) == (0, State())


@pytest.mark.parametrize("lost", [BEGIN, END])
def test_lost_command_is_repeated_once(cache: Cache, row: CacheStateRow, lost: str) -> None:
    cache.is_lost = lambda command, number: command == lost and number == 0

    write()

    assert cache.commands == sorted([BEGIN, END, lost])
    assert 0 < cache.waited < 0.2
    assert row.state == State()


@pytest.mark.parametrize("lost", [BEGIN, END])
def test_write_that_cannot_invalidate_waits_until_the_cache_is_off(cache: Cache, row: CacheStateRow, lost: str) -> None:
    cache.is_lost = lambda command, number: command == lost

    write()

    assert row.state.epoch == 1
    assert row.state.off_since <= cache.now - 1.5, "copies live for a second, and clocks may differ by half a second"
    assert row.state.off_until == row.state.off_since + 60
    assert cache.waited < 3, "no request waits for longer"


def test_long_write_waits_for_nothing_at_its_end(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)

    with invalidating(A):
        cache.now += 5
        began = cache.now

    assert cache.now == began


def test_later_writes_wait_for_nothing(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)
    write()
    commands, now = [*cache.commands], cache.now

    for _ in range(3):
        write()
        switch.reset()  # the next one is of another process

    assert (cache.commands, cache.now) == (commands, now)
    assert row.state.epoch == 1


def test_concurrent_write_waits_for_the_rest_of_the_time(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)
    row.state = State(1, off_since=START - 0.5, off_until=START + 59.5)

    write()

    assert (cache.waited, cache.commands) == (1, [])
    assert row.state.epoch == 1


def test_writes_keep_an_unreachable_cache_off(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)
    row.state = State(1, off_since=START - 30, off_until=START + 30)

    write()

    assert row.state == State(1, off_since=START - 30, off_until=cache.now + 60)
    assert (cache.waited < 0.2, cache.commands) == (True, [BEGIN, BEGIN])
    write()
    assert (cache.waited < 0.2, cache.commands) == (True, [BEGIN, BEGIN]), "it is off until this write has ended"


def test_cache_that_can_be_reached_again_is_in_use_after_a_minute(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)
    write()
    cache.is_lost = lambda command, number: False
    off_until = row.state.off_until

    while cache.now < off_until:
        write()
        cache.now += 5

    assert row.state == State(1, off_until - 60, off_until)


def test_write_that_outlasts_the_time_of_the_cache_being_off_invalidates(cache: Cache, row: CacheStateRow) -> None:
    row.state = State(1, off_since=START - 16, off_until=START + 44)

    with invalidating(A):
        assert (cache.commands, cache.changes) == ([BEGIN], {(Change("a@1"),)})
        cache.now += 44

    assert cache.commands == [BEGIN, END]


@pytest.mark.parametrize("seconds", [1.5, 0.1, 0, -100])
def test_cache_that_is_about_to_be_in_use_is_tried_again(cache: Cache, row: CacheStateRow, seconds: float) -> None:
    row.state = State(7, off_since=START - 60, off_until=START + seconds)

    write()
    assert (cache.commands, cache.changes) == ([BEGIN, END], {(Change("a@7"), Change("b@7", ("tag",)))})

    lose_all(cache)
    write()
    assert row.state.epoch == 8
    assert row.state.off_since > START


def test_refused_write_removes_its_marker(cache: Cache, row: CacheStateRow) -> None:
    with pytest.raises(Refused):
        write(Refused())
    assert cache.commands == [BEGIN, END]


def test_refused_write_waits_for_nothing(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)

    with pytest.raises(Refused):
        write(Refused())
    assert cache.waited < 0.2
    with pytest.raises(Refused):
        write(Refused())
    assert cache.commands == [BEGIN, BEGIN]


def test_write_of_unknown_outcome_keeps_its_marker(cache: Cache, row: CacheStateRow) -> None:
    with pytest.raises(TimeoutError):
        write(TimeoutError())
    assert cache.commands == [BEGIN]


def test_write_of_unknown_outcome_without_a_marker_leaves_the_cache_off(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)

    with pytest.raises(TimeoutError):
        write(TimeoutError())

    assert row.state.off_until - cache.now > 45, "longer than the write can be on its way"


def test_nothing_is_written_unless_the_cache_can_be_switched_off(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)
    row.error = Throttled()
    began = False

    with pytest.raises(Throttled), invalidating(A):
        began = True

    assert not began


def test_stored_write_is_no_error(cache: Cache, row: CacheStateRow, caplog: pytest.LogCaptureFixture) -> None:
    cache.is_lost = lambda command, number: command == END
    row.error = Throttled()

    write()

    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "The cache is neither invalidated nor switched off"
    ]


def test_concurrent_switches_keep_one_epoch(cache: Cache, row: CacheStateRow) -> None:
    lose_all(cache)
    row.rivals = [State(1, off_since=START, off_until=START + 60)]

    write()

    assert (row.state.epoch, row.state.off_since) == (1, START)
    assert cache.now >= START + 1.5


def test_stage_without_a_cache_runs_no_command(
    cache: Cache, row: CacheStateRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_client, "is_enabled", lambda: False)

    write()

    assert (cache.commands, row.reads) == ([], 0)


ENTRY: Entry[int] = Entry("a", "it", str, int)


@pytest.fixture
def keys(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that readers look up."""
    asked: list[str] = []

    def look_up(entry: Entry[int]) -> read_through._Hit[int]:
        asked.append(entry.key)
        return read_through._Hit(1)

    monkeypatch.setattr(read_through, "_lookup_or_lease", look_up)
    return asked


def test_reader_reads_the_state_every_second(cache: Cache, row: CacheStateRow, keys: list[str]) -> None:
    for _ in range(30):
        get_or_load(ENTRY, lambda: 2)
        cache.now += 0.1

    assert (len(keys), row.reads) == (30, 3)
    cache.now -= 1000  # a clock that was corrected
    get_or_load(ENTRY, lambda: 2)
    assert row.reads == 4


def test_reader_bypasses_a_cache_that_is_off(cache: Cache, row: CacheStateRow, keys: list[str]) -> None:
    row.state = State(1, off_since=START, off_until=START + 60)

    assert get_or_load(ENTRY, lambda: 2) == 2
    assert keys == []
    cache.now += 60
    assert get_or_load(ENTRY, lambda: 2) == 1
    assert keys == ["{a@1}:entry:it"], "nothing of the epoch before"


def test_reader_bypasses_a_cache_of_unknown_state(
    cache: Cache, row: CacheStateRow, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> State:
        raise Throttled

    monkeypatch.setattr(switch, "_read", fails)

    assert get_or_load(ENTRY, lambda: 2) == 2
    assert keys == []
