"""The guarantees of the cache, on a real Valkey. Readers load a number that writers increment."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from chalicelib.adapters.cache import client, read_through
from chalicelib.adapters.cache.read_through import Entry
from tests.fault_injection.valkey import FAULTS, Proxy, Valkey, cached_in, forget, tls_for_this_machine

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path_factory.mktemp("valkey"))
    with cached_in(valkey.url):
        yield valkey
    valkey.close()


@pytest.fixture
def valkey(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    monkeypatch.setattr(read_through, "GENERATION_TTL_SECONDS", 1)  # shorter waits
    monkeypatch.setattr(client, "CIRCUIT_OPEN_SECONDS", 0.5)
    monkeypatch.setattr(client, "READ_TIMEOUT_SECONDS", 0.15)  # a busy machine is no ill cache
    server.heal()
    server.client.flushall()
    forget()
    yield server
    server.heal()
    forget()


class Resource:
    """The cached resource: a number in a database that counts its reads."""

    def __init__(self) -> None:
        self.scope = f"resource:{next(_numbers)}"
        self.entry = Entry(self.scope, "it", str, int)
        self.number = 1
        self.loads = 0
        self.load_seconds = 0.0
        self._lock = threading.Lock()

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

    def raise_to(self, number: int) -> None:
        with read_through.invalidating(self.scope):
            self.number = number


@pytest.fixture
def resource() -> Resource:
    return Resource()


def test_second_read_is_a_hit_with_one_round_trip(valkey: Valkey, resource: Resource) -> None:
    first = resource.read()
    valkey.client.config_resetstat()
    second = resource.read()

    assert (first, second, resource.loads) == ((1, "miss"), (1, "hit"), 1)
    made = {name.partition("_")[2] for name in valkey.client.info("commandstats")}
    assert made - {"config|resetstat"} == {"mget"}


def test_write_is_visible_to_the_next_read(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    resource.raise_to(2)

    assert [resource.read(), resource.read()] == [(2, "miss"), (2, "hit")]


def test_nothing_is_stored_during_a_write(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    with read_through.invalidating(resource.scope):
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
    monkeypatch.setattr(read_through, "CACHE_WRITE_MARKER_TTL_SECONDS", 2)
    resource.read()
    with monkeypatch.context() as patch:
        patch.setattr(read_through, "_END", "return 1")  # it never gets there
        with pytest.raises(_Killed), read_through.invalidating(resource.scope):
            resource.number = 2 if wrote else 1
            raise _Killed

    assert resource.read() == (resource.number, "bypass")
    assert _eventually(lambda: resource.read() == (resource.number, "hit"), 5)


def test_two_concurrent_writers_have_two_markers(valkey: Valkey, resource: Resource) -> None:
    first, second = read_through.invalidating(resource.scope), read_through.invalidating(resource.scope)
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
        monkeypatch.setattr(client, name, 10)
    for name in ("LEASE_WAIT_SECONDS", "LEASE_SECONDS", "GENERATION_TTL_SECONDS"):
        monkeypatch.setattr(read_through, name, 10)  # so many threads take their time
    resource.load_seconds = 0.05
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
        patch.setattr(read_through, "_store_and_release", lambda *_: None)
        with pytest.raises(_Killed):
            read_through.get_or_load(resource.entry, dies)
    started = time.monotonic()

    assert resource.read() == (1, "bypass")
    assert time.monotonic() - started < 2 * read_through.LEASE_WAIT_SECONDS + 0.5
    assert _eventually(lambda: resource.read()[1] == "hit", read_through.LEASE_SECONDS + 2)


@pytest.mark.parametrize("kind", ["entry", "generation", "lease", "writers"])
def test_evicted_keys_are_misses(valkey: Valkey, resource: Resource, kind: str) -> None:
    resource.read()
    for key in valkey.client.keys(f"*{kind}*"):
        valkey.client.delete(key)

    assert resource.read()[0] == 1
    resource.raise_to(2)
    assert resource.read()[0] == 2


def test_generation_expires_unless_read(valkey: Valkey, resource: Resource) -> None:
    other = Resource()
    resource.read()
    other.read()
    end = time.monotonic() + read_through.GENERATION_TTL_SECONDS + 1
    while time.monotonic() < end:
        assert resource.read() == (1, "hit")
        time.sleep(0.1)

    assert other.read() == (1, "miss")


@pytest.mark.parametrize("seconds", [0.5, 2.5], ids=["shorter than a token lives", "longer"])
def test_write_during_a_hung_cache_is_visible_afterwards(valkey: Valkey, resource: Resource, seconds: float) -> None:
    assert resource.read() == (1, "miss")
    valkey.hang()
    backward = threading.Timer(seconds, valkey.resume)
    backward.start()
    started = time.monotonic()

    resource.raise_to(2)

    assert time.monotonic() - started < read_through.GENERATION_TTL_SECONDS + 3
    for _ in range(20):
        assert resource.read()[0] == 2
        time.sleep(0.05)
    backward.join()
    assert _eventually(lambda: resource.read() == (2, "hit"), 10)


def test_write_during_a_dead_cache_is_visible_afterwards(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    valkey.client.save()  # as a replica would, it comes back with what it had
    valkey.kill()
    threading.Timer(1, valkey.restart).start()

    resource.raise_to(2)

    assert resource.read()[0] == 2
    assert _eventually(lambda: resource.read() == (2, "hit"), 10)


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
    assert _eventually(lambda: resource.read() == (1, "hit"), 10)


@pytest.mark.parametrize("how", FAULTS)
def test_write_during_a_cache_fault_is_visible_afterwards(valkey: Valkey, resource: Resource, how: str) -> None:
    resource.read()
    valkey.suffer(how)
    started = time.monotonic()
    resource.raise_to(2)
    assert time.monotonic() - started < read_through.GENERATION_TTL_SECONDS + 3
    assert resource.read()[0] == 2
    valkey.heal()

    assert [resource.read()[0] for _ in range(10)] == [2] * 10
    assert _eventually(lambda: resource.read() == (2, "hit"), 10)


def test_circuit_opens_after_a_failure(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    valkey.hang()
    resource.read()
    started = time.monotonic()

    assert [resource.read() for _ in range(100)] == [(1, "bypass")] * 100
    assert time.monotonic() - started < 0.5


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
        monkeypatch.setattr(read_through, "MAX_ENTRY_BYTES", 1)
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
    with pytest.raises(_Refused), read_through.invalidating(resource.scope, not_written_errors=(_Refused,)):
        raise _Refused
    assert [resource.read()[1], resource.read()[1]] == ["miss", "hit"]

    valkey.hang()
    started = time.monotonic()
    with pytest.raises(_Refused), read_through.invalidating(resource.scope, not_written_errors=(_Refused,)):
        raise _Refused
    assert time.monotonic() - started < 1


def test_write_of_unknown_outcome_keeps_its_marker(
    valkey: Valkey, resource: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_through, "CACHE_WRITE_MARKER_TTL_SECONDS", 2)
    resource.read()
    with pytest.raises(TimeoutError), read_through.invalidating(resource.scope, not_written_errors=(_Refused,)):
        raise TimeoutError("no answer from the database")

    assert resource.read() == (1, "bypass")
    resource.number = 2  # the write was on its way
    assert resource.read() == (2, "bypass")
    assert _eventually(lambda: resource.read() == (2, "hit"), 5)


def test_long_write_waits_after_its_end(valkey: Valkey, resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_through, "_begin_write", lambda *_: False)  # its mark got lost on its way
    resource.read()
    with read_through.invalidating(resource.scope):
        end = time.monotonic() + read_through.GENERATION_TTL_SECONDS + 2  # a crowd can take so long
        while time.monotonic() < end:
            assert resource.read() == (1, "hit")
            time.sleep(0.1)
        valkey.hang()
        resource.number = 2
        threading.Timer(0.7, valkey.resume).start()

    assert [resource.read()[0] for _ in range(10)] == [2] * 10


def test_closed_connection_is_reopened(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    valkey.client.client_kill_filter(_type="normal", skipme=True)

    assert resource.read() == (1, "hit")


def test_reads_work_without_a_cache(valkey: Valkey, resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_CACHE", "false")
    forget()

    assert [resource.read(), resource.read()] == [(1, "bypass"), (1, "bypass")]
    resource.raise_to(2)
    assert resource.read() == (2, "bypass")
    assert valkey.client.keys("*") == []


@pytest.mark.parametrize(("password", "served"), [("open sesame", "hit"), ("guess", "bypass")])
def test_cache_connection_uses_tls_with_a_verified_host(
    valkey: Valkey, resource: Resource, tmp_path: Path, caplog: pytest.LogCaptureFixture, password: str, served: str
) -> None:
    context, certificate = tls_for_this_machine(tmp_path)
    proxy = Proxy(valkey.port, context)
    valkey.client.config_set("requirepass", "open sesame")
    try:
        url = f"valkeys://:{password}@127.0.0.1:{proxy.port}?ssl_ca_certs={certificate}"
        with cached_in(url.replace(" ", "%20")):
            resource.read()
            assert resource.read() == (1, served)
        for wrong in (url.partition("?")[0], url.replace("valkeys", "valkey").partition("?")[0]):
            with cached_in(wrong.replace(" ", "%20")):
                assert resource.read() == (1, "bypass")  # no certificate that it knows; no TLS
    finally:
        valkey.client.config_set("requirepass", "")
        proxy.close()
    assert password not in caplog.text + str([record.__dict__ for record in caplog.records])


def test_tls_handshake_slower_than_a_read_is_no_failure(
    valkey: Valkey, resource: Resource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = tls_for_this_machine(tmp_path)
    proxy = Proxy(valkey.port, context)
    monkeypatch.setattr(client, "READ_TIMEOUT_SECONDS", 0.05)
    proxy.handshake_delay = 0.2
    try:
        with cached_in(f"valkeys://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate}"):
            assert resource.read() == (1, "miss")
            assert resource.read() == (1, "hit")
    finally:
        proxy.close()


def _eventually(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False
