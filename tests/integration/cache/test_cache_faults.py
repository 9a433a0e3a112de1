"""Reads and writes while the cache is dead, hung, slow, full or returns invalid replies."""

import threading
import time

import pytest

from tests.fault_injection.valkey import FAULTS, Valkey
from tests.integration.cache.resource import Resource
from tests.waiting import eventually

LONGEST_WRITE_SECONDS = 3


@pytest.mark.parametrize("seconds", [0.5, 2.5], ids=["shorter than a copy of the state lives", "longer"])
def test_write_during_a_hung_cache_is_visible_afterwards(valkey: Valkey, resource: Resource, seconds: float) -> None:
    assert resource.read() == (1, "miss")
    valkey.hang()
    backward = threading.Timer(seconds, valkey.resume)
    backward.start()
    started = time.monotonic()

    resource.raise_to(2)

    assert time.monotonic() - started < LONGEST_WRITE_SECONDS
    for _ in range(20):
        assert resource.read()[0] == 2
        time.sleep(0.05)
    backward.join()
    eventually(lambda: resource.read() == (2, "hit"), 10)


def test_write_during_a_dead_cache_is_visible_afterwards(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    valkey.client.save()  # as a replica would, it comes back with what it had
    valkey.kill()
    restart = threading.Timer(0.6, valkey.restart)
    restart.start()

    resource.raise_to(2)

    assert resource.read()[0] == 2
    restart.join()
    assert [resource.read()[0] for _ in range(10)] == [2] * 10
    eventually(lambda: resource.read() == (2, "hit"), 10)


def test_failover_during_a_write_is_no_stale_read(valkey: Valkey, resource: Resource) -> None:
    """A replica that has neither the marker nor the invalidation takes over before the write ends."""
    resource.read()
    valkey.client.save()
    with resource.invalidating():
        resource.number = 2
        valkey.kill()
        replica = threading.Timer(0.5, valkey.restart)
        replica.start()

    replica.join()
    assert [resource.read()[0] for _ in range(10)] == [2] * 10
    eventually(lambda: resource.read() == (2, "hit"), 10)


def test_second_write_without_a_cache_waits_for_nothing(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    valkey.hang()
    resource.raise_to(2)
    started = time.monotonic()

    for number in range(3, 40):
        resource.raise_to(number)

    assert time.monotonic() - started < 0.5
    valkey.resume()
    assert resource.read()[0] == 39
    eventually(lambda: resource.read() == (39, "hit"), 10)


@pytest.mark.parametrize("how", FAULTS)
def test_reads_during_a_cache_fault_are_correct_and_fast(valkey: Valkey, resource: Resource, how: str) -> None:
    resource.read()
    valkey.suffer(how)
    times = []
    for _ in range(60):
        started = time.monotonic()
        assert resource.read()[0] == 1
        times.append(time.monotonic() - started)
        time.sleep(0.01)

    assert sorted(times)[-2] < 1
    assert sum(times) < 5
    valkey.heal()
    eventually(lambda: resource.read() == (1, "hit"), 10)


@pytest.mark.parametrize("how", FAULTS)
def test_write_during_a_cache_fault_is_visible_afterwards(valkey: Valkey, resource: Resource, how: str) -> None:
    resource.read()
    valkey.suffer(how)
    started = time.monotonic()
    resource.raise_to(2)
    assert time.monotonic() - started < LONGEST_WRITE_SECONDS
    assert resource.read()[0] == 2
    valkey.heal()

    assert [resource.read()[0] for _ in range(10)] == [2] * 10
    eventually(lambda: resource.read() == (2, "hit"), 10)


def test_circuit_opens_after_a_failure(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    valkey.hang()
    resource.read()
    started = time.monotonic()

    assert [resource.read() for _ in range(100)] == [(1, "bypass")] * 100
    assert time.monotonic() - started < 0.5
