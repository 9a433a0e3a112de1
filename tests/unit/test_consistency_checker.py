"""What the checker accepts after a failover of the cache: outdated reads of few writes, and only for a time."""

from types import SimpleNamespace

import pytest

from tests.consistency_checker import History

COURSE = "c"
REPLICATED, TAKEN_OVER = 10.0, 20.0
ENTRY_SECONDS = 300


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("tests.consistency_checker.time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def fail_over(history: History, clock: Clock) -> None:
    clock.now = TAKEN_OVER
    with history.failover(REPLICATED):
        pass


@pytest.mark.parametrize(
    ("begun", "invalidated", "read_at", "is_accepted"),
    [
        pytest.param(11, 12, 25, True, id="invalidation lost"),
        pytest.param(11, 12, TAKEN_OVER + ENTRY_SECONDS + 1, False, id="entries have expired"),
        pytest.param(11, 12, 15, False, id="read before the failover"),
        pytest.param(8, 9, 25, False, id="invalidation replicated"),
        pytest.param(11, 21, 25, False, id="write in progress during the failover"),
        pytest.param(21, 22, 25, False, id="write after the failover"),
    ],
)
def test_outdated_read_after_a_failover(
    clock: Clock, begun: float, invalidated: float, read_at: float, is_accepted: bool
) -> None:
    history = History(reads_agree=False, entry_seconds=ENTRY_SECONDS)
    clock.now = begun
    with history.write() as versions:
        clock.now = invalidated
        history.invalidate()
        versions[COURSE] = 2
    fail_over(history, clock)
    clock.now = read_at
    with history.read(frozenset()) as versions:
        versions[COURSE] = 1

    assert (history.faults() == []) is is_accepted


@pytest.mark.parametrize(("hidden_at", "is_accepted"), [(12, True), (8, False), (22, False)])
def test_hidden_course_is_shown_after_a_failover(clock: Clock, hidden_at: float, is_accepted: bool) -> None:
    history = History(reads_agree=False, entry_seconds=ENTRY_SECONDS)
    for at, is_on_show in ((5, True), (hidden_at, False)):
        clock.now = at
        with history.write({COURSE: is_on_show}):
            pass
    fail_over(history, clock)
    clock.now = 25
    with history.read(frozenset({COURSE})) as versions:
        versions[COURSE] = 1

    assert (history.faults() == []) is is_accepted
