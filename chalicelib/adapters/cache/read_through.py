"""Read-through cache on Valkey with leases and generation tokens.

Readers never see data older than an acknowledged write, except in the windows that docs/caches.md lists.

Entries belong to a scope, such as one course. They are valid only under the scope's generation: a random token that
existed before their read began. A writer deletes the generation before and after its write to the database, and
between the two no reader can create a new one. So a slow reader cannot store old data, and a writer that dies leaves
nothing stale. A generation expires after seconds unless a reader that just had a reply extends it: a cache that hung
or was cut off has lost it when it returns, and a writer that could not reach the cache waited for that.

Of concurrent readers that miss, one loads under a lease and the others wait for it. A cache that is slow, down, full
or returns invalid replies costs milliseconds and never causes an error.
"""

import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chalicelib.adapters.cache import client as connection
from chalicelib.core.config import settings
from chalicelib.core.retry_policy import CACHE_WRITE_MARKER_TTL_SECONDS
from chalicelib.observability import metrics

TTL_SECONDS = 300
GENERATION_TTL_SECONDS = 5
LEASE_SECONDS = 2
LEASE_WAIT_SECONDS = 0.5
MAX_ENTRY_BYTES = 400_000
NEGATIVE_TTL_SECONDS = 10  # of entries that record that there is nothing to cache

_POLL_SECONDS = 0.04
_RETRY_SECONDS = 0.1
_MARGIN_SECONDS = 1
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
_BEGIN = """#!lua flags=allow-oom
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[2], redis.call('TIME')[1] + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
"""
_END = """#!lua flags=allow-oom
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
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
        return f"{{{self.scope}}}:entry:{self.name}"


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
    result = _lookup_or_lease(entry) if is_enabled() and not connection.is_circuit_open() else None
    if isinstance(result, _Hit):
        _record("hit", "CacheHits")
        return result.value
    if result is None:
        metrics.increment("CacheBypasses")
        return load()
    _record("miss", "CacheMisses")
    serialized = None
    try:
        value = load()
        metrics.increment("CacheLoads")
        serialized = _serialize(entry, value)
    finally:
        _store_and_release(entry, result, serialized)
    return value


def _serialize(entry: Entry[Value], value: Value | None) -> bytes:
    if value is None:
        return _ABSENT
    serialized = _VALUE + entry.serialize(value).encode()
    return serialized if len(serialized) <= MAX_ENTRY_BYTES else _TOO_LARGE


@contextmanager
def invalidating(*scopes: str, not_written_errors: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Invalidate scopes around a write to the database: when it ends, no reader gets the previous state.

    If the cache is not reachable, wait until its generations have expired: GENERATION_TTL_SECONDS and one more.
    ``not_written_errors`` are the exceptions after which nothing was written. After any other exception that is not
    known, so nothing is cached until the write marker has expired, when the write has arrived or never will.
    """
    if not is_enabled():
        yield
        return
    writer = secrets.token_hex(8)
    is_marked = _begin_write(scopes, writer)
    try:
        yield
    except not_written_errors:
        _run_for_scopes(_END, scopes, writer)
        raise
    except BaseException:
        if not is_marked:
            _begin_write(scopes, writer)
        raise
    if _run_for_scopes(_END, scopes, writer) or _run_for_scopes(_END, scopes, writer) or is_marked:
        return  # under its marker, no reader stores an entry for CACHE_WRITE_MARKER_TTL_SECONDS
    deadline = time.monotonic() + GENERATION_TTL_SECONDS + _MARGIN_SECONDS
    while not _run_for_scopes(_END, scopes, writer) and time.monotonic() < deadline:
        time.sleep(_RETRY_SECONDS)


def _begin_write(scopes: tuple[str, ...], writer: str) -> bool:
    """Delete the generations and set a write marker; retry briefly when the cache does not reply."""
    for wait in (0, _RETRY_SECONDS, 2 * _RETRY_SECONDS):
        time.sleep(wait)
        if _run_for_scopes(_BEGIN, scopes, writer, CACHE_WRITE_MARKER_TTL_SECONDS):
            return True
    return False


def is_enabled() -> bool:
    """Return whether this stage has a cache and uses it."""
    return bool(settings().cache_url)


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
    reply = connection.client().mget(entry.key, _generation_key(entry.scope))
    match reply:
        case [bytes(text), bytes(generation)]:
            prefix = generation + b"|" + entry.key.encode() + b"|"
            if not text.startswith(prefix):
                return None
            _extend_generation(entry.scope)
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
    keys = (_generation_key(entry.scope), _writers_key(entry.scope), _lease_key(entry))
    reply = connection.client().eval(
        _ACQUIRE, len(keys), *keys, generation, lease, 1000 * GENERATION_TTL_SECONDS, 1000 * LEASE_SECONDS
    )
    if reply in (_WRITING, _LOADING):
        return bytes(reply)
    if not isinstance(reply, bytes) or len(reply) != len(generation):
        raise connection.CacheProtocolError(repr(reply)[:200])
    if reply == generation.encode():
        _extended_at[entry.scope] = time.monotonic()
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
        pipeline.eval(_RELEASE, 1, _lease_key(entry), lease.id)
        connection.execute(pipeline)  # all commands run, even if the first fails because the memory is full


_extended_at: dict[str, float] = {}


def _extend_generation(scope: str) -> None:
    """Extend the TTL of a scope's generation, a few times per TTL.

    By a separate command after a reply, never together with a read: a delayed command could extend a generation that
    a writer is waiting to expire.
    """
    now = time.monotonic()
    if now - _extended_at.get(scope, float("-inf")) > GENERATION_TTL_SECONDS / 3:
        if len(_extended_at) > 10_000:
            _extended_at.clear()
        connection.client().pexpire(_generation_key(scope), 1000 * GENERATION_TTL_SECONDS)
        _extended_at[scope] = now


def _run_for_scopes(script: str, scopes: tuple[str, ...], *arguments: str | int) -> bool:
    """Run a writer's script for each scope and return whether all succeeded, even while the circuit is open."""
    with connection.circuit_breaker():
        pipeline = connection.client().pipeline(transaction=False)
        for scope in scopes:
            pipeline.eval(script, 2, _generation_key(scope), _writers_key(scope), *arguments)
        if connection.execute(pipeline) == [1] * len(scopes):
            return True
        raise connection.CacheProtocolError("unexpected reply to a writer's script")
    return False


def _record(status: str, metric: str) -> None:
    cache_status.set(status)
    metrics.increment(metric)


def _generation_key(scope: str) -> str:
    return f"{{{scope}}}:generation"


def _writers_key(scope: str) -> str:
    return f"{{{scope}}}:writers"


def _lease_key(entry: Entry[Any]) -> str:
    return f"{{{entry.scope}}}:lease:{entry.name}"


def reset() -> None:
    """Forget when generations were extended."""
    _extended_at.clear()
