"""The guarantees of the cache for readers and writers. Readers load a number that writers increment."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from chalicelib.adapters.cache import client, entries, invalidation, read_through
from chalicelib.adapters.cache.entries import Entry
from chalicelib.adapters.cache.invalidation import Change
from tests.fault_injection.valkey import Valkey, cached_in, forget
from tests.integration.cache.resource import Resource
from tests.waiting import eventually


def test_second_read_is_a_hit_with_one_round_trip(valkey: Valkey, resource: Resource) -> None:
    first = resource.read()
    valkey.client.config_resetstat()
    second = resource.read()

    assert (first, second, resource.loads) == ((1, "miss"), (1, "hit"), 1)
    made = {name.partition("_")[2] for name in valkey.client.info("commandstats")}
    assert made - {"config|resetstat"} == {"eval", "get", "hmget"}, "one script, and its commands"


def test_write_is_visible_to_the_next_read(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    resource.raise_to(2)

    assert [resource.read(), resource.read()] == [(2, "miss"), (2, "hit")]


def test_write_of_a_tag_invalidates_the_entries_that_have_it(valkey: Valkey, resource: Resource) -> None:
    other: Entry[int] = Entry(resource.scope, "other", str, int, lambda _: ["others"])
    resource.read()
    read_through.get_or_load(other, lambda: 7)

    resource.raise_to(2, "more", "number")

    assert read_through.get_or_load(other, lambda: 8) == 7
    assert [resource.read(), resource.read()] == [(2, "miss"), (2, "hit")]
    resource.raise_to(3)
    assert resource.read() == (3, "miss")
    assert read_through.get_or_load(other, lambda: 8) == 8, "a write of the whole scope"


def test_slow_fill_does_not_store_what_a_write_of_its_tag_changed(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    valkey.client.delete(*valkey.client.keys("*:entry:*"))
    lease = read_through._acquire_lease(resource.entry_in_epoch)
    assert isinstance(lease, read_through._Lease)
    resource.raise_to(2, "number")

    read_through._store_and_release(resource.entry_in_epoch, lease, 1)

    assert resource.read() == (2, "miss")


def test_fill_from_before_a_failover_is_not_stored(valkey: Valkey, resource: Resource) -> None:
    """The replica counts invalidations on from a smaller number than the one under which the value was loaded."""
    resource.read()
    replica = valkey.replicate()
    for _ in range(2):
        resource.raise_to(1, "others")
    valkey.client.delete(*valkey.client.keys("*:entry:*"))
    lease = read_through._acquire_lease(resource.entry_in_epoch)
    assert isinstance(lease, read_through._Lease)
    valkey.fail_over(replica)
    resource.raise_to(2, "number")

    read_through._store_and_release(resource.entry_in_epoch, lease, 1)

    assert resource.read() == (2, "miss")


def test_hash_of_too_many_tags_is_deleted(valkey: Valkey, resource: Resource) -> None:
    """A script that edits courses all day does not fill the cache with tags."""
    resource.read()
    [generation] = valkey.client.keys("*:generation")
    valkey.client.hset(generation, mapping={f"tag{number}": 1 for number in range(20_000)})

    resource.raise_to(2, "number")

    assert valkey.client.keys("*:generation") == []
    assert [resource.read(), resource.read()] == [(2, "miss"), (2, "hit")]


def test_nothing_is_stored_during_a_write(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    with resource.invalidating():
        assert [resource.read()[1] for _ in range(2)] == ["bypass", "bypass"]
        resource.number = 2
        assert resource.read() == (2, "bypass")

    assert [resource.read(), resource.read()] == [(2, "miss"), (2, "hit")]


def test_slow_fill_does_not_store_stale_value(valkey: Valkey, resource: Resource) -> None:
    reading, may_go_on = threading.Event(), threading.Event()

    def slow_load() -> int:
        number = resource.number
        reading.set()
        may_go_on.wait(10)
        return number

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(lambda: read_through.get_or_load(resource.entry, slow_load))
        reading.wait(10)
        resource.raise_to(2)
        may_go_on.set()
        assert slow.result() == 1  # it began before the write had answered

    assert resource.read() == (2, "miss")


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("wrote", [True, False])
def test_dead_writer_leaves_nothing_stale(
    valkey: Valkey, resource: Resource, wrote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidation, "CACHE_WRITE_MARKER_TTL_SECONDS", 2)
    resource.read()
    with monkeypatch.context() as patch:
        patch.setattr(invalidation, "_END", "return 1")  # it never gets there
        with pytest.raises(_Killed), resource.invalidating():
            resource.number = 2 if wrote else 1
            raise _Killed

    assert resource.read() == (resource.number, "bypass")
    eventually(lambda: resource.read() == (resource.number, "hit"), 5)


def test_two_concurrent_writers_have_two_markers(valkey: Valkey, resource: Resource) -> None:
    first, second = resource.invalidating(), resource.invalidating()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)

    assert resource.read() == (1, "bypass")
    resource.number = 2
    second.__exit__(None, None, None)
    assert [resource.read(), resource.read()] == [(2, "miss"), (2, "hit")]


def test_at_most_two_of_200_concurrent_misses_load(
    valkey: Valkey, resource: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("READ_TIMEOUT_SECONDS", "CONNECT_TIMEOUT_SECONDS"):
        monkeypatch.setattr(client, name, 60)
    for name in ("LEASE_WAIT_SECONDS", "LEASE_SECONDS"):
        monkeypatch.setattr(read_through, name, 60)  # so many threads take their time
    # A reader that found nothing just before the entry was stored can get the second lease. The others of those ask for
    # it while it is taken, even if 200 threads share one slow core.
    resource.load_seconds = 1
    together = Barrier(200)

    def read(_: int) -> int:
        together.wait()
        return resource.read()[0]

    with cached_in(valkey.straight_url), ThreadPoolExecutor(200) as pool:
        assert {*pool.map(read, range(200))} == {1}
    assert resource.loads <= 2


def test_dead_reader_delays_others_briefly(valkey: Valkey, resource: Resource) -> None:
    def dies() -> int:
        raise _Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_through, "_release", lambda *_: None)
        with pytest.raises(_Killed):
            read_through.get_or_load(resource.entry, dies)
    started = time.monotonic()

    assert resource.read() == (1, "bypass")
    assert time.monotonic() - started < 2 * read_through.LEASE_WAIT_SECONDS + 0.5
    eventually(lambda: resource.read()[1] == "hit", read_through.LEASE_SECONDS + 2)


@pytest.mark.parametrize("kind", ["entry", "generation", "lease", "writers"])
def test_evicted_keys_are_misses(valkey: Valkey, resource: Resource, kind: str) -> None:
    resource.read()
    for key in valkey.client.keys(f"*{kind}*"):
        valkey.client.delete(key)

    assert resource.read()[0] == 1
    resource.raise_to(2)
    assert resource.read()[0] == 2


def test_entry_that_is_rarely_read_is_a_hit(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    [generation] = valkey.client.keys("*:generation")

    assert 3_500 < valkey.client.ttl(generation) <= 3600, "longer than entries live, whether they are read or not"
    assert resource.read() == (1, "hit")


def test_delayed_begin_of_a_write_that_ended_leaves_no_marker(valkey: Valkey, resource: Resource) -> None:
    changes = (Change(resource.current_scope),)
    resource.read()
    assert invalidation._run_script(invalidation._BEGIN, changes, "w")
    resource.number = 2
    assert invalidation._run_script(invalidation._END, changes, "w")

    assert invalidation._run_script(invalidation._BEGIN, changes, "w")  # it timed out, and arrives only now

    assert [resource.read(), resource.read()] == [(2, "miss"), (2, "hit")]
    [ended] = valkey.client.keys("*:ended:w")
    assert 0 < valkey.client.ttl(ended) <= 65


def test_failed_load_raises_and_releases_its_lease(valkey: Valkey, resource: Resource) -> None:
    def fails() -> int:
        raise RuntimeError("the database")

    with pytest.raises(RuntimeError, match="the database"):
        read_through.get_or_load(resource.entry, fails)

    assert resource.read() == (1, "miss")


def test_absence_is_cached_until_a_write(valkey: Valkey, resource: Resource) -> None:
    loads = []

    def load() -> None:
        loads.append(1)

    assert [read_through.get_or_load(resource.entry, load) for _ in range(3)] == [None] * 3
    assert (len(loads), read_through.cache_status.get()) == (1, "hit")
    resource.raise_to(2)
    assert resource.read() == (2, "miss")


@pytest.mark.parametrize("why", ["too large", "memory full"])
def test_too_large_entry_makes_no_reader_wait(
    valkey: Valkey, resource: Resource, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "too large":
        monkeypatch.setattr(entries, "MAX_ENTRY_BYTES", 1)
        monkeypatch.setattr(entries, "MIN_COMPRESSED_BYTES", 1)
    else:
        monkeypatch.setattr(client, "CIRCUIT_OPEN_SECONDS", 5)
        valkey.fill_up()
    resource.load_seconds = 0.05
    resource.read()
    started = time.monotonic()

    with ThreadPoolExecutor(40) as pool:
        assert {*pool.map(lambda _: resource.read(), range(40))} == {(1, "bypass")}
    assert time.monotonic() - started < 1  # one by one, they would take twice as long


class _Refused(Exception):
    pass


def test_rejected_write_removes_its_marker_without_wait(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    with pytest.raises(_Refused), resource.invalidating(not_written_errors=(_Refused,)):
        raise _Refused
    assert [resource.read()[1], resource.read()[1]] == ["miss", "hit"]

    valkey.hang()
    started = time.monotonic()
    with pytest.raises(_Refused), resource.invalidating(not_written_errors=(_Refused,)):
        raise _Refused
    assert time.monotonic() - started < 1


def test_write_of_unknown_outcome_keeps_its_marker(
    valkey: Valkey, resource: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidation, "CACHE_WRITE_MARKER_TTL_SECONDS", 2)
    resource.read()
    with pytest.raises(TimeoutError), resource.invalidating(not_written_errors=(_Refused,)):
        raise TimeoutError("no answer from the database")

    assert resource.read() == (1, "bypass")
    resource.number = 2  # the write was on its way
    assert resource.read() == (2, "bypass")
    eventually(lambda: resource.read() == (2, "hit"), 5)


def test_reads_work_without_a_cache(valkey: Valkey, resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_CACHE", "false")
    forget()

    assert [resource.read(), resource.read()] == [(1, "bypass"), (1, "bypass")]
    resource.raise_to(2)
    assert resource.read() == (2, "bypass")
    assert valkey.client.keys("*") == []
