"""Writes to the database that invalidate cached entries: when they end, no reader gets the previous state."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from chalicelib.adapters.cache import client as connection
from chalicelib.adapters.cache import keys, switch
from chalicelib.core.retry_policy import CACHE_WRITE_MARKER_TTL_SECONDS
from chalicelib.observability.logs import error_log

_RETRY_SECONDS = 0.1
_MAX_TAGS = 20_000  # about 1 MB
_LONGEST_WRITE_SECONDS = 45  # of the deletion worker, whose transactions may wait longer than those of a request

# Invalidates the entries with the tags that the command names, or the whole scope: without tags, and when the hash has
# become large, because it keeps each tag for an hour. Included in both scripts.
_INVALIDATE = f"""
if #ARGV == 2 or redis.call('HLEN', KEYS[1]) > {_MAX_TAGS} then
  redis.call('DEL', KEYS[1])
elseif redis.call('EXISTS', KEYS[1]) == 1 then
  local sequence = redis.call('HINCRBY', KEYS[1], '#sequence', 1)
  for at = 3, #ARGV do redis.call('HSET', KEYS[1], ARGV[at], sequence) end
end
"""
# These scripts run even when the memory is full.
# The third key records that the writer has ended: a delayed _BEGIN that arrives later leaves no marker behind.
_BEGIN = f"""#!lua flags=allow-oom
if redis.call('EXISTS', KEYS[3]) == 1 then return 1 end
{_INVALIDATE}
redis.call('ZADD', KEYS[2], redis.call('TIME')[1] + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
"""
_END = f"""#!lua flags=allow-oom
{_INVALIDATE}
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SET', KEYS[3], '', 'EX', ARGV[2])
return 1
"""


class Change(NamedTuple):
    """The entries of a scope that a write invalidates: those with one of these tags, or all without tags."""

    scope: str
    tags: tuple[str, ...] = ()


@contextmanager
def invalidating(*changes: Change, not_written_errors: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Invalidate entries around a write to the database: when it ends, no reader gets the previous state.

    If the cache is not reachable, switch it off, and wait until all processes know that: 1.5 seconds, once.
    ``not_written_errors`` are the exceptions after which nothing was written. After any other exception that is not
    known, so nothing is cached until the write marker has expired, when the write has arrived or never will.

    Raises:
        RetryLater: The database did not store that the cache is off. Nothing was written.
    """
    if not connection.is_enabled():
        yield
        return
    writer = _Writer(changes)
    writer.begin()
    try:
        yield
    except not_written_errors:
        writer.cancel()
        raise
    writer.end()


class _Writer:
    """One write to the database, with what it changes."""

    def __init__(self, changes: tuple[Change, ...]) -> None:
        state = switch.state()
        self._id = secrets.token_hex(8)
        self._changes = tuple(
            change._replace(scope=keys.scope_in_epoch(change.scope, state.epoch)) for change in changes
        )
        self._off = state if state.can_be_prolonged(time.time()) else None

    def begin(self) -> None:
        """Invalidate the entries and set write markers, unless the cache is off until this write has ended.

        If the cache cannot be reached, switch it off, or prolong that.
        """
        if self._off and self._off.off_until - time.time() >= _LONGEST_WRITE_SECONDS:
            return
        self._off = None if self._run(_BEGIN, attempts=2) else switch.turn_off()

    def cancel(self) -> None:
        """Delete the markers of a write that did not take place."""
        if not self._off:
            self._run(_END)

    def end(self) -> None:
        """Invalidate the entries again, or wait until no reader uses the cache."""
        if self._off is None and not self._run(_END, attempts=2):
            try:
                self._off = switch.turn_off()
            except Exception:  # the write is stored: an error would tell the client that it is not
                error_log.exception(
                    "The cache is neither invalidated nor switched off",
                    scopes=[change.scope for change in self._changes],
                )
                return
        if self._off:
            time.sleep(max(0.0, self._off.known_at - time.time()))

    def _run(self, script: str, attempts: int = 1) -> bool:
        """Run a script, and return whether it succeeded within the attempts."""
        for attempt in range(attempts):
            time.sleep(attempt * _RETRY_SECONDS)
            if _run_script(script, self._changes, self._id):
                return True
        return False


def _run_script(script: str, changes: tuple[Change, ...], writer: str) -> bool:
    """Run a writer's script for each change and return whether all succeeded, even while the circuit is open."""
    with connection.circuit_breaker():
        pipeline = connection.client().pipeline(transaction=False)
        for change in changes:
            scope = change.scope
            names = (keys.generation(scope), keys.writers(scope), keys.ended(scope, writer))
            pipeline.eval(script, len(names), *names, writer, CACHE_WRITE_MARKER_TTL_SECONDS, *change.tags)
        if connection.execute(pipeline) == [1] * len(changes):
            return True
        raise connection.CacheProtocolError("unexpected reply to a writer's script")
    return False
