"""The row that says whether the cache is in use, in DynamoDB."""

import pytest

from chalicelib.adapters.cache import switch
from chalicelib.adapters.cache.switch import State
from tests.unit.fake_clock import FakeClock


@pytest.fixture
def clock(aws: None, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(1_764_000_000.125)
    monkeypatch.setattr(switch, "time", clock)
    switch.reset()
    return clock


def test_cache_is_in_use_until_it_is_switched_off(clock: FakeClock) -> None:
    assert switch.state() == State(0, 0.0, 0.0)
    assert not switch.state().is_off(clock.now)

    off = switch.turn_off()

    assert off == State(1, clock.now, clock.now + 60)
    switch.reset()
    assert switch.state() == off, "another process reads it"
    assert off.is_off(clock.now + 59.9) and not off.is_off(clock.now + 60)


def test_row_of_another_process_is_not_overwritten(clock: FakeClock) -> None:
    first = switch.turn_off()

    assert not switch._write(State(), State(1, 5.0, 65.0))
    assert not switch._write(State(1, first.off_since, first.off_until + 1), State(2, 5.0, 65.0))
    assert switch._read() == first
    assert switch._write(first, State(2, 5.0, 65.0))


def test_state_is_read_consistently(clock: FakeClock, dynamodb_requests: list[object]) -> None:
    switch.state()
    switch.state()

    [request] = dynamodb_requests
    assert request.operation == "GetItem" and request.body["ConsistentRead"] is True  # type: ignore[attr-defined]


def test_row_that_is_stored_late_is_stored_again_with_a_new_epoch(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers use the cache for a second after the row was stored, and not after the time that it has."""
    delays, write = list[float](), switch._write

    def write_late(old: State, new: State) -> bool:
        is_stored = write(old, new)
        clock.now += delays.pop() if delays else 0
        return is_stored

    monkeypatch.setattr(switch, "_write", write_late)

    delays.append(0.6)
    assert switch.turn_off() == State(2, clock.now, clock.now + 60)
    clock.now += 58  # it could be prolonged
    delays.append(0.6)
    assert switch.turn_off() == State(3, clock.now, clock.now + 60)
    delays.append(0.5)
    assert switch.turn_off() == State(3, clock.now - 0.5, clock.now + 59.5), "within the margin"
    assert switch._read() == switch.state()
