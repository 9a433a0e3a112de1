"""The entries and leases in Valkey: their keys, their lifetimes, and who may delete them."""

import secrets

import pytest

from chalicelib.adapters.cache import invalidation, read_through
from chalicelib.adapters.cache.entries import Entry
from tests.fault_injection.valkey import Valkey
from tests.integration.cache.resource import Resource


def ttl(valkey: Valkey, kind: str) -> list[int]:
    """The remaining milliseconds of the keys of a kind."""
    return [valkey.client.pttl(key) for key in valkey.client.keys(f"*:{kind}*")]


def test_entry_lives_for_300_seconds_and_absence_for_10(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    [milliseconds] = ttl(valkey, "entry")
    assert 230_000 < milliseconds <= 300_000
    valkey.client.flushall()

    read_through.get_or_load(resource.entry, lambda: None)

    [milliseconds] = ttl(valkey, "entry")
    assert 7_000 < milliseconds <= 10_000


def test_lease_lives_for_two_seconds(valkey: Valkey, resource: Resource) -> None:
    def load() -> int:
        [lease] = ttl(valkey, "lease")
        assert 1_000 < lease <= 2_000
        return 1

    assert read_through.get_or_load(resource.entry, load) == 1
    assert ttl(valkey, "lease") == []


def test_entry_of_another_key_is_a_miss(valkey: Valkey, resource: Resource) -> None:
    """A connection out of step could return the reply to another command."""
    other: Entry[int] = Entry(resource.scope, "at", str, int)  # a key of the same length
    read_through.get_or_load(other, lambda: 7)
    source, target = read_through._in_epoch(other), read_through._in_epoch(resource.entry)
    assert source and target
    valkey.client.copy(source.key, target.key)

    assert resource.read() == (1, "miss")


def test_late_reader_does_not_release_the_lease_of_another(valkey: Valkey, resource: Resource) -> None:
    late = read_through._acquire_lease(resource.entry)
    assert isinstance(late, read_through._Lease)
    valkey.client.delete(resource.entry.lease_key)  # it expired
    current = read_through._acquire_lease(resource.entry)
    assert isinstance(current, read_through._Lease)

    read_through._release(resource.entry, late)

    assert valkey.client.get(resource.entry.lease_key) == current.id.encode()
    read_through._release(resource.entry, current)
    assert valkey.client.get(resource.entry.lease_key) is None


def test_entry_of_400_kb_at_most_is_stored(valkey: Valkey, resource: Resource) -> None:
    text: Entry[str] = Entry(resource.scope, "text", str, str)
    for length, served in ((330_000, "hit"), (800_000, "bypass")):
        valkey.client.flushall()
        value = secrets.token_hex(length)  # of which deflate saves half
        for _ in range(2):
            assert read_through.get_or_load(text, lambda value=value: value) == value  # type: ignore[misc]
        assert read_through.cache_status.get() == served


def test_entry_of_a_kilobyte_is_compressed(valkey: Valkey, resource: Resource) -> None:
    text: Entry[str] = Entry(resource.scope, "text", str, str)
    for length, expected in ((999, 1_000), (1_000, 50)):
        valkey.client.flushall()
        for _ in range(2):
            assert read_through.get_or_load(text, lambda length=length: "x" * length) == "x" * length  # type: ignore[misc]
        [key] = valkey.client.keys("*:entry:*")
        overhead = len(text.key) + 60
        assert abs(valkey.client.strlen(key) - expected) < overhead


@pytest.mark.parametrize("damaged", ["no second line", "x" * 16 + " 0\n", "x" * 16 + " 0\n{other}|=1"])
def test_damaged_entry_is_a_miss(valkey: Valkey, resource: Resource, damaged: str) -> None:
    resource.read()
    token = valkey.client.hget(valkey.client.keys("*:generation")[0], "#token").decode()
    [key] = valkey.client.keys("*:entry:*")
    for text in (damaged, damaged.replace("x" * 16, token)):
        valkey.client.set(key, text)

        assert resource.read() == (1, "miss")
        assert resource.read() == (1, "hit")


def test_damaged_compression_is_a_miss(valkey: Valkey, resource: Resource) -> None:
    text: Entry[str] = Entry(resource.scope, "text", str, str)
    read_through.get_or_load(text, lambda: "x" * 2000)
    [key] = valkey.client.keys("*:entry:*")
    valkey.client.set(key, valkey.client.get(key)[:-3])

    assert read_through.get_or_load(text, lambda: "y") == "y"


def test_write_without_a_marker_invalidates_at_its_end(
    valkey: Valkey, resource: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidation, "_BEGIN", "return 1")  # it was evicted
    resource.read()

    resource.raise_to(2)

    assert [resource.read(), resource.read()] == [(2, "miss"), (2, "hit")]
