"""A cache of reads in Valkey that is never wrong: what it can't vouch for, it does not serve.

Entries belong to a scope, such as one course, and count only under the scope's token: a random
text that was there before their reading began. A writer takes the token away before it writes to
the database, and again after it; in between nobody makes a new one. So no slow reader can bring
old data back, and a writer that dies leaves nothing stale. The token lives a few seconds, unless
somebody who just had an answer renews it: a cache that hung or was cut off has lost it when
it comes back, and a writer that could not reach it has waited for that before answering.

Of readers that miss, one loads, under a lease, and the others wait for it. A cache that is slow,
down, full or talks nonsense costs milliseconds, never an error, and is then left alone a while.
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
from chalicelib.observability import metrics

TTL_SECONDS = 300
TOKEN_SECONDS = 5
LEASE_SECONDS = 2
WRITER_SECONDS = 35  # longer than any function that writes courses has for one of them
PATIENCE_SECONDS = 0.5
MAX_ENTRY_BYTES = 400_000
SHORT_TTL_SECONDS = 10
"""For what says only that there is nothing to keep."""

_POLL_SECONDS = 0.04
_RETRY_SECONDS = 0.1
_MARGIN_SECONDS = 1
_WRITING, _LOADING = b"writing", b"loading"
_VALUE, _NOTHING, _TOO_LARGE = b"=", b"0", b"-"

# What must work when the memory is full is allowed to: it takes little, and gives back.
_CLAIM = """#!lua flags=allow-oom
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', redis.call('TIME')[1])
if redis.call('EXISTS', KEYS[2]) == 1 then return 'writing' end
if not redis.call('SET', KEYS[3], ARGV[2], 'NX', 'PX', ARGV[4]) then return 'loading' end
local token = redis.call('GET', KEYS[1])
if token then return token end
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

outcome: ContextVar[str] = ContextVar("outcome", default="bypass")
"""How the request at work was served: hit, miss or bypass."""


@dataclass(frozen=True)
class Entry(Generic[Value]):
    """One thing that can be cached: its scope and name, and how it becomes text and a thing again."""

    scope: str
    name: str
    pack: Callable[[Value], str]
    unpack: Callable[[str], Value]

    @property
    def key(self) -> str:
        """Where it is kept: all keys of a scope are in one hash slot."""
        return f"{{{self.scope}}}:entry:{self.name}"


@dataclass(frozen=True)
class _Hit(Generic[Value]):
    value: Value | None


@dataclass(frozen=True)
class _Claim:
    """The right to fill an entry, under a token."""

    token: bytes
    lease: str


def fetch(entry: Entry[Value], load: Callable[[], Value | None]) -> Value | None:
    """The entry's value from the cache, or else from ``load``; None is kept for some seconds."""
    outcome.set("bypass")
    found = _seek(entry) if is_on() and not connection.is_resting() else None
    if isinstance(found, _Hit):
        _note("hit", "CacheHits")
        return found.value
    if found is None:
        metrics.count("CacheBypasses")
        return load()
    _note("miss", "CacheMisses")
    packed = None
    try:
        value = load()
        metrics.count("CacheLoads")
        packed = _packed(entry, value)
    finally:
        _settle(entry, found, packed)
    return value


def _packed(entry: Entry[Value], value: Value | None) -> bytes:
    if value is None:
        return _NOTHING
    packed = _VALUE + entry.pack(value).encode()
    return packed if len(packed) <= MAX_ENTRY_BYTES else _TOO_LARGE


@contextmanager
def changing(*scopes: str, refusals: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Around a write to the database: once it has ended, nobody is given what was before.

    If the cache can't be told, the answer waits until its tokens have ended: TOKEN_SECONDS and one
    more. ``refusals`` are the exceptions after which nothing was written. After any other one that is
    not known: then nothing is kept until the writer's mark has ended, and whatever comes late is in the database.
    """
    if not is_on():
        yield
        return
    writer = secrets.token_hex(8)
    marked = _mark(scopes, writer)
    try:
        yield
    except refusals:
        _tell(_END, scopes, writer)
        raise
    except BaseException:
        if not marked:
            _mark(scopes, writer)
        raise
    if _tell(_END, scopes, writer) or _tell(_END, scopes, writer) or marked:
        return  # where its mark stands, nobody fills anything in for WRITER_SECONDS
    deadline = time.monotonic() + TOKEN_SECONDS + _MARGIN_SECONDS
    while not _tell(_END, scopes, writer) and time.monotonic() < deadline:
        time.sleep(_RETRY_SECONDS)


def _mark(scopes: tuple[str, ...], writer: str) -> bool:
    """Take the tokens away and leave a mark; a moment that the cache does not answer is waited out."""
    for wait in (0, _RETRY_SECONDS, 2 * _RETRY_SECONDS):
        time.sleep(wait)
        if _tell(_BEGIN, scopes, writer, WRITER_SECONDS):
            return True
    return False


def is_on() -> bool:
    """Whether this stage has a cache, and uses it."""
    return bool(settings().cache_url)


def _seek(entry: Entry[Value]) -> _Hit[Value] | _Claim | None:
    """The value, or the right to fill it in; None when neither can be had in time."""
    with connection.guarded():
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = _read(entry)
            if found is not None:
                return found if isinstance(found, _Hit) else None
            claim = _claim(entry)
            if isinstance(claim, _Claim):
                return claim
            if claim == _WRITING or time.monotonic() > end:
                return None
            time.sleep(random.uniform(0.5, 1) * _POLL_SECONDS)
    return None


def _read(entry: Entry[Value]) -> _Hit[Value] | bytes | None:
    """What is kept under the token that is there now; _TOO_LARGE for what never is, None for nothing."""
    answer = connection.client().mget(entry.key, _token_key(entry.scope))
    match answer:
        case [bytes(text), bytes(token)]:
            head = token + b"|" + entry.key.encode() + b"|"
            if not text.startswith(head):
                return None
            _renew(entry.scope)
            kind, packed = text[len(head) : len(head) + 1], text[len(head) + 1 :]
            if kind in (_NOTHING, _TOO_LARGE):
                return _Hit(None) if kind == _NOTHING else kind
            try:
                return _Hit(entry.unpack(packed.decode()))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                connection.report("An entry of the cache makes no sense", error)
                return None
        case [None | bytes(), None | bytes()]:
            return None
    raise connection.Nonsense(repr(answer)[:200])


def _claim(entry: Entry[Any]) -> _Claim | bytes:
    token, lease = secrets.token_hex(8), secrets.token_hex(8)
    keys = (_token_key(entry.scope), _writers_key(entry.scope), _lease_key(entry))
    answer = connection.client().eval(
        _CLAIM, len(keys), *keys, token, lease, 1000 * TOKEN_SECONDS, 1000 * LEASE_SECONDS
    )
    if answer in (_WRITING, _LOADING):
        return bytes(answer)
    if not isinstance(answer, bytes) or len(answer) != len(token):
        raise connection.Nonsense(repr(answer)[:200])
    if answer == token.encode():
        _renewed_at[entry.scope] = time.monotonic()
    return _Claim(answer, lease)


def _settle(entry: Entry[Any], claim: _Claim, packed: bytes | None) -> None:
    """Fill the entry in, if it was loaded, and let the lease go."""
    with connection.guarded():
        steps = connection.client().pipeline(transaction=False)
        if packed is not None:
            seconds = TTL_SECONDS if packed.startswith(_VALUE) else SHORT_TTL_SECONDS
            # With its key inside, so that an answer to another question is none to this one.
            text = b"|".join((claim.token, entry.key.encode(), packed))
            steps.set(entry.key, text, px=int(1000 * seconds * random.uniform(0.8, 1)))
        steps.eval(_RELEASE, 1, _lease_key(entry), claim.lease)
        connection.run(steps)  # all of it, before it fails because the memory is full


_renewed_at: dict[str, float] = {}


def _renew(scope: str) -> None:
    """Keep a scope's token alive, now and then.

    By a command of its own after an answer, never along with a question: one that is stuck on
    its way could revive what a writer waits for to end.
    """
    now = time.monotonic()
    if now - _renewed_at.get(scope, float("-inf")) > TOKEN_SECONDS / 3:
        if len(_renewed_at) > 10_000:
            _renewed_at.clear()
        connection.client().pexpire(_token_key(scope), 1000 * TOKEN_SECONDS)
        _renewed_at[scope] = now


def _tell(script: str, scopes: tuple[str, ...], *arguments: str | int) -> bool:
    """Run a writer's script for each scope; whether the cache did it. Writers never leave it alone."""
    with connection.guarded():
        steps = connection.client().pipeline(transaction=False)
        for scope in scopes:
            steps.eval(script, 2, _token_key(scope), _writers_key(scope), *arguments)
        if connection.run(steps) == [1] * len(scopes):
            return True
        raise connection.Nonsense("a writer's script was not answered as it should be")
    return False


def _note(how: str, metric: str) -> None:
    outcome.set(how)
    metrics.count(metric)


def _token_key(scope: str) -> str:
    return f"{{{scope}}}:token"


def _writers_key(scope: str) -> str:
    return f"{{{scope}}}:writers"


def _lease_key(entry: Entry[Any]) -> str:
    return f"{{{entry.scope}}}:lease:{entry.name}"
