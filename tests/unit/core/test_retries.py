"""The budget of waits."""

import pytest

from chalicelib.core import retries
from chalicelib.core.retries import WaitBudget
from tests.unit.fake_clock import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(100)
    monkeypatch.setattr(retries, "time", clock)
    return clock


def test_budget_ends_after_its_seconds(clock: FakeClock) -> None:
    budget = WaitBudget(1)

    assert [budget.sleep(0.5), budget.sleep(0.25), budget.sleep(0.5), budget.sleep(0.25)] == [True, True, False, True]
    assert clock.waits == [0.5, 0.25, 0.25]


def test_waits_of_concurrent_calls_count_once(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise eight reads of a throttled table would give up after an eighth of the time."""
    budget = WaitBudget(1)
    monkeypatch.setattr(clock, "sleep", lambda seconds: None)  # each in a thread of its own

    assert all(budget.sleep(0.5) for _ in range(8))
    assert budget.sleep(0.75)
    clock.now += 0.5
    assert budget.sleep(0.25), "it ends with the one before"
    assert budget.sleep(0.5)
    assert not budget.sleep(0.625), "it would end after the budget"


def test_time_between_waits_does_not_count(clock: FakeClock) -> None:
    budget = WaitBudget(1)
    for _ in range(4):
        assert budget.sleep(0.25)
        clock.now += 10

    assert not budget.sleep(0.25)
