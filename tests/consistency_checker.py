"""Check whether an order of events explains what concurrent readers and writers of courses saw.

Each course has a version that only grows, and is on show or not. A read must show no version that is
older than one that was acknowledged, or read, before the read began; and a course is found when it
was on show from before the read began until after it had ended, and not found when it was hidden so long.
"""

import threading
import time
from collections import defaultdict
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


@dataclass
class _Shown:
    begun: float
    ended: float
    is_on_show: bool


@dataclass
class History:
    """A history of events, in the order of their ends."""

    reads_agree: bool = True
    """Whether reads are compared with other reads, and not only with acknowledged writes."""
    events: list[_Event] = field(default_factory=list)
    _shown: dict[str, list[_Shown]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def write(self, show: Mapping[str, bool] | None = None) -> Iterator[dict[str, float]]:
        """Record one write, which fills in the versions of its response.

        ``show`` are the courses that it publishes (True) or unpublishes (False).
        """
        begun, versions = time.monotonic(), dict[str, float]()
        killed = True
        try:
            yield versions
            killed = False
        finally:
            ended = time.monotonic()
            with self._lock:
                self.events.append(_Event(begun, ended, versions, is_read=False, killed=killed))
                for course, is_on_show in (show or {}).items():
                    self._shown[course].append(_Shown(begun, ended, is_on_show))

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

    def verdict(self) -> str:
        """Return the numbers of reads and writes."""
        reads = sum(event.is_read for event in self.events)
        killed = sum(event.killed for event in self.events)
        return f"{reads} reads and {len(self.events) - reads} writes ({killed} killed), {len(self.faults())} faults"

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
        at = 0
        for read in by_begin:
            while at < len(acknowledged) and acknowledged[at].ended < read.begun:
                for course, version in acknowledged[at].versions.items():
                    known[course] = max(version, known.get(course, 0))
                at += 1
            for course, version in read.versions.items():
                if version < known.get(course, 0):
                    yield f"{course}: version {version} at {read.begun:.3f}, after {known[course]} was known"

    def _wrongly_shown(self) -> Iterator[str]:
        for read in (event for event in self.events if event.is_read):
            for course in read.looked_for:
                certain = self._certainly(course, read)
                if certain is not None and certain != (course in read.versions):
                    yield f"{course}: {'not ' if certain else ''}shown at {read.begun:.3f} to {read.ended:.3f}"

    def _certainly(self, course: str, read: _Event) -> bool | None:
        """Return whether a course was published during a whole read; None if that changed or is unknown."""
        last = None
        for change in self._shown[course]:  # one writer each: in their order
            if change.ended < read.begun:
                last = change.is_on_show
            elif change.begun < read.ended:
                return None
        return last
