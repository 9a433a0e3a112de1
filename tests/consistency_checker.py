"""Check whether an order of events explains what concurrent readers and writers of courses saw.

Each course has a version that only grows, and is on show or not. A read must show no version that is
older than one that was acknowledged, or read, before the read began; and a course is found when it
was on show from before the read began until after it had ended, and not found when it was hidden so long.

After a failover of the cache, reads may miss the writes whose last invalidation the replica had not received, for as
long as an entry lives (docs/caches.md): these writes alone, and no longer.
"""

import threading
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class _Event:
    begun: float
    ended: float
    versions: Mapping[str, float]
    """The version that was written or read, by course."""
    is_read: bool
    looked_for: frozenset[str] = frozenset()
    """The courses that a read includes if they are published."""
    killed: bool = False
    invalidated: float = 0.0
    """When a writer began its last invalidation, before the write ended."""


@dataclass
class _Shown:
    write: _Event
    is_on_show: bool


@dataclass
class _Failover:
    replicated: float
    """Until when the replica has received all."""
    begun: float
    ended: float


@dataclass
class History:
    """A history of events, in the order of their ends."""

    reads_agree: bool = True
    """Whether reads are compared with other reads, and not only with acknowledged writes."""
    entry_seconds: float = 300
    """How long an entry of the cache lives."""
    events: list[_Event] = field(default_factory=list)
    failovers: list[_Failover] = field(default_factory=list)  # one after the other
    _shown: dict[str, list[_Shown]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writer: threading.local = field(default_factory=threading.local)

    @contextmanager
    def write(self, show: Mapping[str, bool] | None = None) -> Iterator[dict[str, float]]:
        """Record one write, which fills in the versions of its response.

        ``show`` are the courses that it publishes (True) or unpublishes (False).
        """
        begun, versions = time.monotonic(), dict[str, float]()
        killed, self._writer.invalidated = True, None
        try:
            yield versions
            killed = False
        finally:
            ended = time.monotonic()
            invalidated = self._writer.invalidated or ended
            event = _Event(begun, ended, versions, is_read=False, killed=killed, invalidated=invalidated)
            with self._lock:
                self.events.append(event)
                for course, is_on_show in (show or {}).items():
                    self._shown[course].append(_Shown(event, is_on_show))

    def invalidate(self) -> None:
        """Record that the write of this thread begins its last invalidation."""
        self._writer.invalidated = time.monotonic()

    @contextmanager
    def failover(self, replicated: float) -> Iterator[None]:
        """Record that a replica takes over that has received everything until ``replicated``."""
        begun = time.monotonic()
        assert not self.failovers or self.failovers[-1].ended <= begun
        yield
        self.failovers.append(_Failover(replicated, begun, time.monotonic()))

    @contextmanager
    def read(self, looked_for: frozenset[str]) -> Iterator[dict[str, float]]:
        """Record one read, which fills in the versions that it saw."""
        begun, versions = time.monotonic(), dict[str, float]()
        yield versions
        with self._lock:
            self.events.append(_Event(begun, time.monotonic(), versions, is_read=True, looked_for=looked_for))

    def faults(self) -> list[str]:
        """Return all reads that no order of events explains."""
        return [*self._old_versions(), *self._wrongly_shown()]

    def summary(self) -> str:
        """Return the numbers of reads, writes and failovers."""
        reads = sum(event.is_read for event in self.events)
        killed = sum(event.killed for event in self.events)
        writes = [event for event in self.events if not event.is_read]
        lost = sum(self._failover_of(event) is not None for event in writes)
        failovers = f"{len(self.failovers)} failovers, which may have lost {lost} invalidations"
        return f"{reads} reads and {len(writes)} writes ({killed} killed), {failovers}"

    def durations(self, begun: float, ended: float) -> tuple[list[float], list[float]]:
        """Return the durations of reads and writes that began in a period, in seconds."""
        within = [event for event in self.events if begun <= event.begun < ended]
        reads, writes = ([e.ended - e.begun for e in within if e.is_read is kind] for kind in (True, False))
        return reads, writes

    def _old_versions(self) -> Iterator[str]:
        by_begin = sorted((event for event in self.events if event.is_read), key=lambda event: event.begun)
        acknowledged = [event for event in self.events if not event.killed and (self.reads_agree or not event.is_read)]
        acknowledged.sort(key=lambda event: event.ended)
        known: dict[str, float] = {}
        losable: dict[str, deque[tuple[_Failover, float]]] = defaultdict(deque)
        at = 0
        for read in by_begin:
            while at < len(acknowledged) and acknowledged[at].ended < read.begun:
                failover = self._failover_of(acknowledged[at])
                for course, version in acknowledged[at].versions.items():
                    if failover:
                        losable[course].append((failover, version))
                    else:
                        known[course] = max(version, known.get(course, 0))
                at += 1
            for course, version in read.versions.items():
                lost = losable[course]
                while lost and lost[0][0].ended + self.entry_seconds <= read.begun:  # no older entry lives any more
                    known[course] = max(lost.popleft()[1], known.get(course, 0))
                expected = max([known.get(course, 0), *_not_lost_before(read.ended, lost)])
                if version < expected:
                    yield f"{course}: version {version} at {read.begun:.3f}, after {self._origin(course, expected)}"

    def _origin(self, course: str, version: float) -> str:
        """Return where a version comes from: the times of its write, unless the write was killed."""
        for event in self.events:
            if not event.is_read and event.versions.get(course) == version:
                times = f"from {event.begun:.3f} to {event.ended:.3f}, invalidated at {event.invalidated:.3f}"
                return f"{version} was written {times}"
        return f"{version} was read"

    def _wrongly_shown(self) -> Iterator[str]:
        for read in (event for event in self.events if event.is_read):
            for course in read.looked_for:
                certain = self._certainly(course, read)
                if certain is not None and certain != (course in read.versions):
                    yield f"{course}: {'not ' if certain else ''}shown at {read.begun:.3f} to {read.ended:.3f}"

    def _certainly(self, course: str, read: _Event) -> bool | None:
        """Return whether a course was published during a whole read; None if that changed or is unknown."""
        changes = self._shown[course]  # one writer each: in their order
        following = bisect_left(changes, read.begun, key=lambda change: change.write.ended)
        if any(change.write.begun < read.ended for change in changes[following : following + 1]):
            return None
        if following == 0 or self._may_miss(read, changes[following - 1].write):
            return None
        return changes[following - 1].is_on_show

    def _may_miss(self, read: _Event, write: _Event) -> bool:
        """Return whether a failover lost the invalidation of a write, and entries of before may still live."""
        failover = self._failover_of(write)
        return failover is not None and failover.begun < read.ended and read.begun < failover.ended + self.entry_seconds

    def _failover_of(self, write: _Event) -> _Failover | None:
        """Return the last failover whose replica may not have received the last invalidation of a write."""
        following = bisect_left(self.failovers, write.ended, key=lambda failover: failover.replicated)
        if write.is_read or following == 0:
            return None
        last = self.failovers[following - 1]
        return last if write.invalidated < last.ended else None


def _not_lost_before(end: float, lost: deque[tuple[_Failover, float]]) -> Iterator[float]:
    """Return the versions that failovers lost later only: the last ones, as failovers follow one another."""
    for failover, version in reversed(lost):
        if failover.begun < end:
            return
        yield version
