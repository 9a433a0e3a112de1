"""Read-through cache on Valkey with leases, generations and tags.

Readers never see data older than an acknowledged write, except in the windows that docs/caches.md lists.

Entries belong to a scope, such as one course or all lists. They are valid only under the scope's generation: a random
token that existed before their read began. A writer that changes the whole scope deletes the generation, before and
after its write to the database. One that changes only entries with certain tags, such as those with one course, counts
up a sequence in the generation, and stores the number for each of these tags: entries that have them and began earlier
are invalid. Between its two invalidations no reader begins to load an entry. So a slow reader cannot store old data,
and a writer that dies leaves nothing stale. A writer that cannot reach the cache switches it off for all processes (see
``switch``).

Of concurrent readers that miss, one loads under a lease and the others wait for it. A cache that is slow, down, full
or returns invalid replies costs milliseconds and never causes an error.
"""

import random
import re
import secrets
import time
import zlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Generic, NamedTuple

from chalicelib.adapters.cache import client as connection
from chalicelib.adapters.cache import keys, switch
from chalicelib.adapters.cache.entries import Entry, TooLarge, Value
from chalicelib.observability import metrics

TTL_SECONDS = 300
GENERATION_TTL_SECONDS = 3600  # longer than any entry lives
LEASE_SECONDS = 2
LEASE_WAIT_SECONDS = 0.5
NEGATIVE_TTL_SECONDS = 10  # of entries that record that there is nothing to cache

BYPASS = "bypass"
_POLL_SECONDS = 0.04
_WRITING, _LOADING = b"writing", b"loading"
_GENERATION = re.compile(rb"[0-9a-f]{16} [0-9]+")  # its token, and how often tags were invalidated

# Returns the second line of an entry if it is valid: it has the current generation, and none of its tags was
# invalidated after the reader that stored it had begun.
_READ = """#!lua flags=no-writes
local text = redis.call('GET', KEYS[1])
local head = text and string.match(text, '^[^\\n]*')
if not head then return false end
local words = {}
for word in string.gmatch(head, '[^ ]+') do words[#words + 1] = word end
local current = redis.call('HMGET', KEYS[2], '#token', unpack(words, 3))
if not current[1] or current[1] ~= words[1] then return false end
for at = 2, #current do
  if current[at] and tonumber(current[at]) > tonumber(words[2]) then return false end
end
return string.sub(text, #head + 2)
"""
# These scripts run even when the memory is full: they need little, and free some.
_ACQUIRE = """#!lua flags=allow-oom
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', redis.call('TIME')[1])
if redis.call('EXISTS', KEYS[2]) == 1 then return 'writing' end
if not redis.call('SET', KEYS[3], ARGV[2], 'NX', 'PX', ARGV[4]) then return 'loading' end
if redis.call('HSETNX', KEYS[1], '#token', ARGV[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
local generation = redis.call('HMGET', KEYS[1], '#token', '#sequence')
return generation[1] .. ' ' .. (generation[2] or '0')
"""
# Stores an entry while its lease lasts. A replica that took over and does not have the lease may count invalidations on
# from a smaller number than the one under which the value was loaded, and would take it for the newer one.
_STORE = """#!lua
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
_RELEASE = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

# How the current request was served: hit, miss or bypass.
cache_status: ContextVar[str] = ContextVar("cache_status", default=BYPASS)


class _Hit(NamedTuple, Generic[Value]):
    value: Value | None


class _Lease(NamedTuple):
    """The right to fill an entry, under a generation: its token and sequence."""

    generation: bytes
    id: str


def get_or_load(entry: Entry[Value], load: Callable[[], Value | None]) -> Value | None:
    """Return an entry's value from the cache, or from ``load``. None is cached for NEGATIVE_TTL_SECONDS."""
    cache_status.set(BYPASS)
    current = _in_epoch(entry)
    result = _lookup_or_lease(current) if current else None
    if isinstance(result, _Hit):
        _record("hit", "CacheHits")
        return result.value
    if current is None or result is None:
        metrics.increment("CacheBypasses")
        return load()
    _record("miss", "CacheMisses")
    try:
        value = load()
    except BaseException:
        _release(current, result)
        raise
    metrics.increment("CacheLoads")
    _store_and_release(current, result, value)
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
    return None if state.is_off(time.time()) else entry._replace(scope=keys.scope_in_epoch(entry.scope, state.epoch))


def _lookup_or_lease(entry: Entry[Value]) -> _Hit[Value] | _Lease | None:
    """Return the value, or the lease to load it, or None if neither is available within LEASE_WAIT_SECONDS.

    Each round reads the entry, and asks for the lease if it is absent. While another reader holds the lease, it
    sleeps and reads again.
    """
    with connection.circuit_breaker():
        end = time.monotonic() + LEASE_WAIT_SECONDS
        while True:
            try:
                hit = _read(entry)
            except TooLarge:
                return None
            if hit:
                return hit
            lease = _acquire_lease(entry)
            if isinstance(lease, _Lease):
                return lease
            if lease == _WRITING or time.monotonic() > end:
                return None
            time.sleep(random.uniform(0.5, 1) * _POLL_SECONDS)
    return None


def _read(entry: Entry[Value]) -> _Hit[Value] | None:
    """Return the entry if it is valid.

    Raises:
        TooLarge: It is never cached.
        CacheProtocolError: The reply is none of the script.
    """
    reply = connection.client().eval(_READ, 2, entry.key, keys.generation(entry.scope))
    if reply is None:
        return None
    if not isinstance(reply, bytes):
        raise connection.CacheProtocolError(repr(reply)[:200])
    try:
        return _Hit(entry.decode(reply))
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        connection.log_failure("Ignoring malformed cache entry", error)
        return None


def _acquire_lease(entry: Entry[Any]) -> _Lease | bytes:
    token, lease = secrets.token_hex(8), secrets.token_hex(8)
    names = (keys.generation(entry.scope), keys.writers(entry.scope), entry.lease_key)
    reply = connection.client().eval(
        _ACQUIRE, len(names), *names, token, lease, 1000 * GENERATION_TTL_SECONDS, 1000 * LEASE_SECONDS
    )
    if reply in (_WRITING, _LOADING):
        return bytes(reply)
    if not isinstance(reply, bytes) or not _GENERATION.fullmatch(reply):
        raise connection.CacheProtocolError(repr(reply)[:200])
    return _Lease(reply, lease)


def _store_and_release(entry: Entry[Value], lease: _Lease, value: Value | None) -> None:
    """Store the entry, unless the lease is lost, and release the lease."""
    text, has_value = entry.encode(lease.generation, value)
    seconds = (TTL_SECONDS if has_value else NEGATIVE_TTL_SECONDS) * random.uniform(0.8, 1)
    with connection.circuit_breaker():
        pipeline = connection.client().pipeline(transaction=False)
        pipeline.eval(_STORE, 2, entry.key, entry.lease_key, lease.id, text, int(1000 * seconds))
        pipeline.eval(_RELEASE, 1, entry.lease_key, lease.id)
        connection.execute(pipeline)  # all commands run, even if the first fails because the memory is full


def _release(entry: Entry[Any], lease: _Lease) -> None:
    with connection.circuit_breaker():
        connection.client().eval(_RELEASE, 1, entry.lease_key, lease.id)


def _record(status: str, metric: str) -> None:
    cache_status.set(status)
    metrics.increment(metric)
