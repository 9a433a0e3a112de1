"""Read-through cache on Valkey with leases and generation tokens.

Readers never see data older than an acknowledged write, except in the windows that docs/caches.md lists.

Entries belong to a scope, such as one course. They are valid only under the scope's generation: a random token that
existed before their read began. A writer deletes the generation before and after its write to the database, and
between the two no reader can create a new one. So a slow reader cannot store old data, and a writer that dies leaves
nothing stale. A writer that cannot reach the cache switches it off for all processes (see ``switch``).

Of concurrent readers that miss, one loads under a lease and the others wait for it. A cache that is slow, down, full
or returns invalid replies costs milliseconds and never causes an error.
"""

import random
import secrets
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from chalicelib.adapters.cache import client as connection
from chalicelib.adapters.cache import keys, switch
from chalicelib.observability import metrics

TTL_SECONDS = 300
GENERATION_TTL_SECONDS = 3600  # longer than any entry lives
LEASE_SECONDS = 2
LEASE_WAIT_SECONDS = 0.5
MAX_ENTRY_BYTES = 400_000
NEGATIVE_TTL_SECONDS = 10  # of entries that record that there is nothing to cache

_POLL_SECONDS = 0.04
_WRITING, _LOADING = b"writing", b"loading"
_VALUE, _ABSENT, _TOO_LARGE = b"=", b"0", b"-"

# These scripts run even when the memory is full: they need little, and free some.
_ACQUIRE = """#!lua flags=allow-oom
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', redis.call('TIME')[1])
if redis.call('EXISTS', KEYS[2]) == 1 then return 'writing' end
if not redis.call('SET', KEYS[3], ARGV[2], 'NX', 'PX', ARGV[4]) then return 'loading' end
local generation = redis.call('GET', KEYS[1])
if generation then return generation end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return ARGV[1]
"""
_RELEASE = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
Value = TypeVar("Value")

# How the current request was served: hit, miss or bypass.
cache_status: ContextVar[str] = ContextVar("cache_status", default="bypass")


@dataclass(frozen=True)
class Entry(Generic[Value]):
    """A cache entry: its scope and name, and how its value becomes text and back."""

    scope: str
    name: str
    serialize: Callable[[Value], str]
    deserialize: Callable[[str], Value]

    @property
    def key(self) -> str:
        """The key of the entry. All keys of a scope are in one hash slot."""
        return keys.entry(self.scope, self.name)

    @property
    def lease_key(self) -> str:
        """The key of the lease on which it is loaded."""
        return keys.lease(self.scope, self.name)


@dataclass(frozen=True)
class _Hit(Generic[Value]):
    value: Value | None


@dataclass(frozen=True)
class _Lease:
    """The right to fill an entry, under a generation."""

    generation: bytes
    id: str


def get_or_load(entry: Entry[Value], load: Callable[[], Value | None]) -> Value | None:
    """Return an entry's value from the cache, or from ``load``. None is cached for NEGATIVE_TTL_SECONDS."""
    cache_status.set("bypass")
    current = _in_epoch(entry)
    result = _lookup_or_lease(current) if current else None
    if isinstance(result, _Hit):
        _record("hit", "CacheHits")
        return result.value
    if current is None or result is None:
        metrics.increment("CacheBypasses")
        return load()
    _record("miss", "CacheMisses")
    serialized = None
    try:
        value = load()
        metrics.increment("CacheLoads")
        serialized = _serialize(current, value)
    finally:
        _store_and_release(current, result, serialized)
    return value


def _in_epoch(entry: Entry[Value]) -> Entry[Value] | None:
    """Return the entry with the keys of the current epoch, or None if the cache is not to be used."""
    if not connection.is_enabled() or connection.is_circuit_open():
        return None
    try:
        state = switch.state()
    except Exception as error:  # the database is ill: the load has its own retries
        connection.log_failure("The state of the cache is unknown", error)
        return None
    return None if state.is_off(time.time()) else replace(entry, scope=keys.scope_in_epoch(entry.scope, state.epoch))


def _serialize(entry: Entry[Value], value: Value | None) -> bytes:
    if value is None:
        return _ABSENT
    serialized = _VALUE + entry.serialize(value).encode()
    return serialized if len(serialized) <= MAX_ENTRY_BYTES else _TOO_LARGE


def _lookup_or_lease(entry: Entry[Value]) -> _Hit[Value] | _Lease | None:
    """Return the value, or the lease to load it, or None if neither is available within LEASE_WAIT_SECONDS.

    Each round reads the entry, and asks for the lease if it is absent. While another reader holds the lease, it
    sleeps and reads again.
    """
    with connection.circuit_breaker():
        end = time.monotonic() + LEASE_WAIT_SECONDS
        while True:
            result = _read(entry)
            if result is not None:
                return result if isinstance(result, _Hit) else None
            lease = _acquire_lease(entry)
            if isinstance(lease, _Lease):
                return lease
            if lease == _WRITING or time.monotonic() > end:
                return None
            time.sleep(random.uniform(0.5, 1) * _POLL_SECONDS)
    return None


def _read(entry: Entry[Value]) -> _Hit[Value] | bytes | None:
    """Return the entry under the current generation, _TOO_LARGE if it is never cached, None if it is absent."""
    reply = connection.client().mget(entry.key, keys.generation(entry.scope))
    match reply:
        case [bytes(text), bytes(generation)]:
            prefix = generation + b"|" + entry.key.encode() + b"|"
            if not text.startswith(prefix):
                return None
            kind, serialized = text[len(prefix) : len(prefix) + 1], text[len(prefix) + 1 :]
            if kind in (_ABSENT, _TOO_LARGE):
                return _Hit(None) if kind == _ABSENT else kind
            try:
                return _Hit(entry.deserialize(serialized.decode()))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                connection.log_failure("Ignoring malformed cache entry", error)
                return None
        case [None | bytes(), None | bytes()]:
            return None
    raise connection.CacheProtocolError(repr(reply)[:200])


def _acquire_lease(entry: Entry[Any]) -> _Lease | bytes:
    generation, lease = secrets.token_hex(8), secrets.token_hex(8)
    names = (keys.generation(entry.scope), keys.writers(entry.scope), entry.lease_key)
    reply = connection.client().eval(
        _ACQUIRE, len(names), *names, generation, lease, 1000 * GENERATION_TTL_SECONDS, 1000 * LEASE_SECONDS
    )
    if reply in (_WRITING, _LOADING):
        return bytes(reply)
    if not isinstance(reply, bytes) or len(reply) != len(generation):
        raise connection.CacheProtocolError(repr(reply)[:200])
    return _Lease(reply, lease)


def _store_and_release(entry: Entry[Any], lease: _Lease, serialized: bytes | None) -> None:
    """Store the entry, if it was loaded, and release the lease."""
    with connection.circuit_breaker():
        pipeline = connection.client().pipeline(transaction=False)
        if serialized is not None:
            seconds = TTL_SECONDS if serialized.startswith(_VALUE) else NEGATIVE_TTL_SECONDS
            # With its key inside, so that a reply to another command is not taken for this entry.
            text = b"|".join((lease.generation, entry.key.encode(), serialized))
            pipeline.set(entry.key, text, px=int(1000 * seconds * random.uniform(0.8, 1)))
        pipeline.eval(_RELEASE, 1, entry.lease_key, lease.id)
        connection.execute(pipeline)  # all commands run, even if the first fails because the memory is full


def _record(status: str, metric: str) -> None:
    cache_status.set(status)
    metrics.increment(metric)
