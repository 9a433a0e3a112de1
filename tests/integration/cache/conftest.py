"""A real Valkey, behind a proxy, and a resource that it caches."""

from collections.abc import Iterator

import pytest

from chalicelib.adapters.cache import client, invalidation, switch
from tests.fault_injection.cache_state import CacheStateRow
from tests.fault_injection.valkey import Valkey, cached_in, forget
from tests.integration.cache.resource import Resource


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path_factory.mktemp("valkey"))
    with cached_in(valkey.url):
        yield valkey
    valkey.close()


@pytest.fixture
def valkey(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    for name, seconds in (("COPY_SECONDS", 0.4), ("_MARGIN_SECONDS", 0.2), ("OFF_SECONDS", 2.5)):  # shorter waits
        monkeypatch.setattr(switch, name, seconds)
    monkeypatch.setattr(invalidation, "_LONGEST_WRITE_SECONDS", 1)
    CacheStateRow(monkeypatch)
    monkeypatch.setattr(client, "CIRCUIT_OPEN_SECONDS", 0.5)
    monkeypatch.setattr(client, "READ_TIMEOUT_SECONDS", 0.15)  # a busy machine is no ill cache
    server.heal()
    server.client.flushall()
    forget()
    yield server
    server.heal()
    forget()


@pytest.fixture
def resource() -> Resource:
    return Resource()
