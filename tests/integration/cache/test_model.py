"""The cache protocol against its model: random interleavings of the steps of readers and writers, and lost keys.

A read that began after a write was acknowledged never returns an older number. Nor does one after the marker of a
writer that died has expired.
"""

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from chalicelib.adapters.cache import read_through
from tests.fault_injection.valkey import Valkey
from tests.integration.cache.resource import Resource

_writers = itertools.count()
position = st.integers(0, 3)


class Protocol(RuleBasedStateMachine):
    """One resource: its number in the database grows with each write."""

    valkey: Valkey

    @initialize()
    def start(self) -> None:
        self.resource = Resource()
        self.written = self.acknowledged = 1
        self.loads: list[tuple[read_through._Lease, int]] = []
        self.begun: list[str] = []
        self.committed: list[tuple[str, int]] = []
        self.marked: set[str] = set()
        self.dead: list[tuple[str, int]] = []

    @rule()
    def read(self) -> None:
        """Look the entry up; if it is absent, take the lease and read the database."""
        found = read_through._lookup_or_lease(self.resource.entry)
        if isinstance(found, read_through._Hit):
            assert found.value is not None
            assert found.value >= self.acknowledged
        elif isinstance(found, read_through._Lease):
            self.loads.append((found, self.written))

    @rule()
    def fill(self) -> None:
        """Read without another step in between."""
        pending = len(self.loads)
        self.read()
        if len(self.loads) > pending:
            self.store(pending)

    @precondition(lambda self: self.loads)
    @rule(at=position)
    def store(self, at: int) -> None:
        """Store a number that was loaded, however many writes there were since."""
        lease, number = self.loads.pop(at % len(self.loads))
        serialized = read_through._serialize(self.resource.entry, number)
        read_through._store_and_release(self.resource.entry, lease, serialized)

    @precondition(lambda self: len(self.begun) + len(self.committed) + len(self.dead) < 2)
    @rule(is_lost=st.booleans())
    def begin_write(self, is_lost: bool) -> None:
        """Set the marker; ``is_lost``: the cache does not get the command."""
        writer = str(next(_writers))
        if not is_lost:
            assert read_through._begin_write((self.resource.scope,), writer)
            self.marked.add(writer)
        self.begun.append(writer)

    @precondition(lambda self: self.begun)
    @rule(at=position)
    def write(self, at: int) -> None:
        self.written += 1
        self.committed.append((self.begun.pop(at % len(self.begun)), self.written))

    @precondition(lambda self: self.committed)
    @rule(at=position)
    def end_write(self, at: int) -> None:
        writer, number = self.committed.pop(at % len(self.committed))
        assert read_through._run_for_scopes(read_through._END, (self.resource.scope,), writer)
        self.acknowledged = max(self.acknowledged, number)

    @precondition(lambda self: any(writer in self.marked for writer, _ in self.committed))
    @rule()
    def die(self) -> None:
        """A writer that set its marker and wrote does not reach its end."""
        dead = next(one for one in self.committed if one[0] in self.marked)
        self.committed.remove(dead)
        self.dead.append(dead)

    @precondition(lambda self: self.dead)
    @rule()
    def expire_marker(self) -> None:
        """From now on, readers fill the cache again: none of them with the state before that write."""
        writer, number = self.dead.pop()
        self.valkey.client.zrem(read_through._writers_key(self.resource.scope), writer)
        self.acknowledged = max(self.acknowledged, number)

    @rule(kind=st.sampled_from(["entry", "generation", "lease", "none", "none", "none"]))
    def lose_keys(self, kind: str) -> None:
        """Keys expire, or are evicted."""
        for key in self.valkey.client.keys(f"*{self.resource.scope}}}:{kind}*"):
            self.valkey.client.delete(key)


def test_protocol_never_returns_an_older_number(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_through, "GENERATION_TTL_SECONDS", 5)
    monkeypatch.setattr(read_through, "LEASE_WAIT_SECONDS", -1)  # one thread: no other one would release it
    monkeypatch.setattr(Protocol, "valkey", valkey, raising=False)
    limits = settings(max_examples=500, stateful_step_count=40, deadline=None, suppress_health_check=[*HealthCheck])

    run_state_machine_as_test(Protocol, settings=limits)
