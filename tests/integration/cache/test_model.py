"""The cache protocol against its model: random interleavings of the steps of readers and writers, and lost keys.

A read that began after a write was acknowledged never returns an older number. Nor does one after the marker of a
writer that died has expired. A writer that cannot reach the cache begins a new epoch, in which readers find nothing of
the time before, whatever the cache restores.
"""

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from chalicelib.adapters.cache import invalidation, keys, read_through
from chalicelib.adapters.cache.entries import Entry
from chalicelib.adapters.cache.invalidation import Change
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
        self.epoch = 0
        self.ended: list[str] = []
        self.replica: dict[bytes, bytes] = {}
        self.written = self.acknowledged = 1
        self.loads: list[tuple[Entry[int], read_through._Lease, int]] = []
        self.begun: list[str] = []
        self.tags: dict[str, tuple[str, ...]] = {}
        self.committed: list[tuple[str, int]] = []
        self.marked: set[str] = set()
        self.dead: list[tuple[str, int]] = []

    @rule()
    def read(self) -> None:
        """Look the entry up; if it is absent, take the lease and read the database."""
        found = read_through._lookup_or_lease(self.entry)
        if isinstance(found, read_through._Hit):
            assert found.value is not None
            assert found.value >= self.acknowledged
        elif isinstance(found, read_through._Lease):
            self.loads.append((self.entry, found, self.written))

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
        entry, lease, number = self.loads.pop(at % len(self.loads))
        read_through._store_and_release(entry, lease, number)

    @property
    def entry(self) -> Entry[int]:
        """The entry with the keys of the current epoch."""
        return self.resource.entry._replace(scope=self.scope)

    @property
    def scope(self) -> str:
        return keys.scope_in_epoch(self.resource.scope, self.epoch)

    @precondition(lambda self: len(self.begun) + len(self.committed) + len(self.dead) < 2)
    @rule(is_marked=st.booleans(), tags=st.sampled_from([(), ("number",), ("more", "number")]))
    def begin_write(self, is_marked: bool, tags: tuple[str, ...]) -> None:
        """Set the marker; without it, it was evicted at once. The write changes the whole scope, or its tags."""
        writer = str(next(_writers))
        self.tags[writer] = tags
        if is_marked:
            assert self.run_script(invalidation._BEGIN, writer)
            self.marked.add(writer)
        self.begun.append(writer)

    def run_script(self, script: str, writer: str) -> bool:
        return invalidation._run_script(script, (Change(self.scope, self.tags[writer]),), writer)

    @precondition(lambda self: self.ended)
    @rule(at=position)
    def begin_late(self, at: int) -> None:
        """A delayed command of a writer that has ended arrives."""
        writer = self.ended[at % len(self.ended)]
        assert self.run_script(invalidation._BEGIN, writer)
        assert self.valkey.client.zscore(keys.writers(self.scope), writer) is None

    @rule()
    def replicate(self) -> None:
        """A replica receives what the cache has now."""
        self.replica = {key: self.valkey.client.dump(key) for key in self.valkey.client.keys(f"*{self.scope}*")}

    @precondition(lambda self: self.begun or self.committed)
    @rule()
    def fail_over(self) -> None:
        """The replica takes over. The writers in progress cannot reach the cache, and begin a new epoch."""
        for key in self.valkey.client.keys(f"*{self.scope}*"):
            self.valkey.client.delete(key)
        for key, value in self.replica.items():
            self.valkey.client.restore(key, 0, value, replace=True)
        self.written += len(self.begun)
        self.epoch += 1
        self.acknowledged = self.written
        self.begun, self.committed, self.ended, self.dead, self.replica = [], [], [], [], {}

    @precondition(lambda self: self.begun)
    @rule(at=position)
    def write(self, at: int) -> None:
        self.written += 1
        self.committed.append((self.begun.pop(at % len(self.begun)), self.written))

    @precondition(lambda self: self.committed)
    @rule(at=position)
    def end_write(self, at: int) -> None:
        writer, number = self.committed.pop(at % len(self.committed))
        assert self.run_script(invalidation._END, writer)
        self.ended.append(writer)
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
        self.valkey.client.zrem(keys.writers(self.scope), writer)
        self.acknowledged = max(self.acknowledged, number)

    @rule(kind=st.sampled_from(["entry", "generation", "lease", "none", "none", "none"]))
    def lose_keys(self, kind: str) -> None:
        """Keys expire, or are evicted."""
        for key in self.valkey.client.keys(f"*{self.scope}}}:{kind}*"):
            self.valkey.client.delete(key)


def test_protocol_never_returns_an_older_number(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_through, "LEASE_WAIT_SECONDS", -1)  # one thread: no other one would release it
    monkeypatch.setattr(Protocol, "valkey", valkey, raising=False)
    limits = settings(max_examples=500, stateful_step_count=40, deadline=None, suppress_health_check=[*HealthCheck])

    run_state_machine_as_test(Protocol, settings=limits)
