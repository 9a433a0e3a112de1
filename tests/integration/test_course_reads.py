"""Cached course reads during writes and faults: no read is older than an acknowledged write."""

import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.cache import client, invalidation, read_through, switch
from chalicelib.adapters.cache.invalidation import Change
from chalicelib.adapters.dynamodb import RetryingConnection
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotFound, Throttled
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.base import Transaction
from chalicelib.models.courses import Course
from chalicelib.services import courses, lessons, rendering
from tests.clients import unique
from tests.consistency_checker import History
from tests.factories import courses_of, create_course, create_user
from tests.fault_injection.valkey import FAULTS, Valkey, cached_in

ORDERINGS = ["-created_at", "created_at", "price", "-price"]
KINDS = ("entry", "generation", "lease")
LESSON = {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}


def random_time() -> datetime:
    """Return a time of the last three hours, so that new courses appear between the others."""
    return clock.now() - timedelta(seconds=random.uniform(0, 10_000))


class _Killed(BaseException):
    """The process was killed at this point."""


@pytest.fixture
def valkey(local_aws: None, tmp_path: Path) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path)
    with cached_in(valkey.straight_url):
        yield valkey
    valkey.close()


# Lets the markers of all writers expire after a second, except for those of the given ones.
_SHORTEN_MARKERS = """
local living = {}
for _, writer in ipairs(ARGV) do living[writer] = true end
for _, key in ipairs(redis.call('KEYS', '*:writers')) do
  for _, writer in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if not living[writer] then redis.call('ZADD', key, 'XX', 'LT', redis.call('TIME')[1] + 1, writer) end
  end
end
"""


def shorten_markers(valkey: Valkey) -> None:
    """Let the markers of writers that have died or ended expire soon, as they do in a minute."""
    valkey.client.eval(_SHORTEN_MARKERS, 0, *_living)


@pytest.fixture(autouse=True)
def versions_in_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the versions of courses to lists, for the checker."""
    render = rendering.render_course

    def render_with_version(course: Course) -> rendering.RenderedCourse:
        rendered = render(course)
        return rendered._replace(json=json.dumps(json.loads(rendered.json) | {"version": rendered.version}))

    monkeypatch.setattr(rendering, "render_course", render_with_version)


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def faults(valkey: Valkey, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers pause during a fill, writers before and after their write; some writers die between database and cache.

    Some transactions are throttled, and some commands that begin a write arrive once more after its end.

    Only a writer whose marker was stored dies: docs/caches.md names the window of one that cannot reach the cache.
    The marker of a dead writer is shortened, or nothing would be cached any more. That of a living writer is not: as
    in production, it outlives the write, however slow the machine is. So are the times for which the cache is off.
    """
    monkeypatch.setattr(client, "READ_TIMEOUT_SECONDS", 0.15)  # a busy machine is no ill cache
    monkeypatch.setattr(client, "CIRCUIT_OPEN_SECONDS", 0.2)
    monkeypatch.setattr(switch, "OFF_SECONDS", 4)
    monkeypatch.setattr(invalidation, "_LONGEST_WRITE_SECONDS", 2)  # on a busy machine, too
    store, run, execute = read_through._store_and_release, invalidation._run_script, Transaction.run

    def pause() -> None:
        if random.random() < 0.1:
            time.sleep(random.uniform(0, 0.5))

    def pausing_store(*arguments: Any) -> None:
        pause()
        store(*arguments)

    def pausing_or_killed_run(script: str, changes: tuple[Change, ...], writer: str) -> bool:
        if script == invalidation._END and getattr(_mortal, "now", False) and _mortal.marked and random.random() < 0.2:
            _living.discard(writer)
            shorten_markers(valkey)
            raise _Killed
        if script == invalidation._BEGIN:
            _living.add(writer)
        else:
            pause()
            history.invalidate()
        acknowledged = run(script, changes, writer)
        if script == invalidation._BEGIN:
            _mortal.marked = acknowledged
            pause()
        elif acknowledged:
            _living.discard(writer)
            if random.random() < 0.2:
                run(invalidation._BEGIN, changes, writer)
        return acknowledged

    def throttled_or_run(transaction: Transaction) -> None:
        if getattr(_mortal, "now", False) and random.random() < 0.1:
            raise Throttled
        execute(transaction)

    monkeypatch.setattr(read_through, "_store_and_release", pausing_store)
    monkeypatch.setattr(invalidation, "_run_script", pausing_or_killed_run)
    monkeypatch.setattr(Transaction, "run", throttled_or_run)


_mortal = threading.local()
_living: set[str] = set()


@pytest.fixture
def inconsistent_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the reads of courses and lists that use an index or are eventually consistent."""
    found: list[str] = []
    call = RetryingConnection._make_api_call

    def noting_call(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        requests = arguments.get("RequestItems") or {arguments.get("TableName"): arguments}
        for table, request in requests.items():
            is_read = operation in ("GetItem", "Query", "BatchGetItem") and "eduflow-course" in str(table)
            if is_read and (not request.get("ConsistentRead") or "IndexName" in request):
                found.append(f"{operation} {table}")
        return call(self, operation, arguments)

    monkeypatch.setattr(RetryingConnection, "_make_api_call", noting_call)
    return found


_long = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("seconds", "evicted", "fails_over"),
    [
        pytest.param(7, KINDS, False, id="short"),
        pytest.param(7, KINDS, True, id="short, with failovers"),
        pytest.param(600, KINDS, False, marks=_long, id="long"),
        pytest.param(600, KINDS, True, marks=_long, id="long, with failovers"),
        pytest.param(120, (*KINDS, "writers"), False, marks=_long, id="long, with marks evicted"),
    ],
)
def test_reads_are_never_older_than_an_acknowledged_write(
    valkey: Valkey,
    history: History,
    faults: None,
    inconsistent_reads: list[str],
    seconds: int,
    evicted: tuple[str, ...],
    fails_over: bool,
) -> None:
    """Losing a writer's marker in addition to its process is one fault more than monotonic reads tolerate."""
    history.reads_agree = "writers" not in evicted and not fails_over
    teacher = create_user(Role.INSTRUCTOR)
    edited = [create_course(teacher, title="Edited") for _ in range(3)]
    toggled = create_course(teacher, title="Toggled")
    watched = frozenset(course.id for course in (*edited, toggled))
    inconsistent_reads.clear()
    end = time.monotonic() + seconds
    school = _School(history, teacher, watched, end)

    work: list[Callable[[], None]] = [
        *(partial(school.edit, course) for course in edited),
        lambda: school.edit(edited[0]),
        lambda: school.change_lessons(edited[1]),
        lambda: school.toggle(toggled),
        school.publish_and_unpublish,
        *[lambda: school.read_course(None)] * 3,
        lambda: school.read_course(teacher),
        *[school.read_lists] * 3,
        lambda: school.evict(valkey, evicted),
        *[lambda: school.fail_over(valkey)] * fails_over,
    ]
    with ThreadPoolExecutor(len(work)) as pool:
        for future in [pool.submit(task) for task in work]:
            future.result()

    print(f"\n{history.summary()}; {school.served}")
    assert history.faults() == []
    assert inconsistent_reads == []
    assert len(history.events) > 20 * seconds
    assert school.served["hit"] > 5 * seconds
    assert not fails_over or len(history.failovers) > seconds / 5
    assert all(isinstance(found, Course) for found in (Course.find(course.id) for course in edited))


@pytest.mark.parametrize("seconds", [pytest.param(10, id="short"), pytest.param(300, marks=_long, id="long")])
def test_pages_are_never_older_than_an_acknowledged_write(
    valkey: Valkey, faults: None, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """Courses appear, disappear and move between others. Nothing is evicted, so that many pages are cached."""
    monkeypatch.setattr(client, "READ_TIMEOUT_SECONDS", 2)  # a busy machine must not switch the cache off
    history = History()
    teacher = create_user(Role.INSTRUCTOR)
    toggled, moved = (create_course(teacher, random_time()) for _ in range(2))
    unchanged = [create_course(teacher, random_time(), price_cents=random.randrange(10_000)) for _ in range(8)]
    watched = frozenset(course.id for course in (toggled, moved, *unchanged))
    school = _School(history, teacher, watched, time.monotonic() + seconds)

    work: list[Callable[[], None]] = [
        lambda: school.toggle(toggled),
        lambda: school.change_prices(moved),
        school.publish_and_unpublish,
        *[school.read_page_by_page] * 3,
    ]
    with ThreadPoolExecutor(len(work)) as pool:
        for future in [pool.submit(task) for task in work]:
            future.result()

    print(f"\n{history.summary()}; pages: {school.served}")
    assert history.faults() == []
    assert school.served["hit"] > seconds


@pytest.mark.parametrize(
    ("seconds", "off_seconds"),
    [pytest.param(0.8, 3, id="short"), pytest.param(15, 10, marks=_long, id="long")],
)
def test_cache_faults_cause_no_error_and_no_stale_read(
    local_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, off_seconds: int
) -> None:
    """Inject each fault under load, then run without faults for twice as long."""
    monkeypatch.setattr(switch, "OFF_SECONDS", off_seconds)
    monkeypatch.setattr(invalidation, "_LONGEST_WRITE_SECONDS", 0.5)
    history, teacher = History(), create_user(Role.INSTRUCTOR)
    edited = [create_course(teacher, title="Edited") for _ in range(3)]
    school = _School(history, teacher, frozenset(course.id for course in edited), float("inf"))
    valkey = Valkey(tmp_path)
    phases: list[tuple[str, float, float]] = []

    def inject_faults() -> None:
        try:
            for how in ("nothing", *FAULTS):
                begun = time.monotonic()
                if how != "nothing":
                    valkey.suffer(how)
                time.sleep(seconds)
                phases.append((how, begun, time.monotonic()))
                valkey.heal()
                time.sleep(2 * seconds)
        finally:
            school.end = 0

    work = [*[lambda: school.read_course(None)] * 4, *[school.read_lists] * 3, inject_faults]
    work += [partial(school.edit, course) for course in edited]
    with cached_in(valkey.url), ThreadPoolExecutor(len(work)) as pool:
        for future in [pool.submit(task) for task in work]:
            future.result()  # no exception: an API would have answered with 500
        before = school.served["hit"]
        deadline = time.monotonic() + off_seconds + 5
        while school.served["hit"] == before and time.monotonic() < deadline:
            school.end = time.monotonic() + 1
            school.read_course(None)
    valkey.close()

    print(f"\n{history.summary()}; {school.served}")
    print(f"{'fault':<18}{'reads':>6}{'p50 ms':>8}{'p99 ms':>8}{'slowest write s':>17}")
    for how, begun, ended in phases:
        reads, writes = history.durations(begun, ended)
        p50, p99 = (1000 * sorted(reads)[int(share * len(reads))] for share in (0.5, 0.99))
        print(f"{how:<18}{len(reads):>6}{p50:>8.1f}{p99:>8.1f}{max(writes, default=0):>17.2f}")
        assert len(reads) > 10 * seconds, how
        assert p99 < 1000, how
        assert max(writes, default=0) < 3, how
    assert history.faults() == []
    assert school.served["hit"] > before


class _School:
    """Run until the end."""

    def __init__(self, history: History, teacher: Caller, watched: frozenset[str], end: float) -> None:
        self.history = history
        self.teacher = teacher
        self.watched = watched
        self.end = end
        self.served = {"hit": 0, "miss": 0, "bypass": 0}
        self._passing: frozenset[str] = frozenset()

    def pause(self) -> bool:
        """Pause for up to 10 ms, and return whether the run has not ended."""
        time.sleep(random.uniform(0, 0.01))
        return time.monotonic() < self.end

    def edit(self, course: Course) -> None:
        _mortal.now = True  # where faults are wanted
        while self.pause():
            fields: dict[str, Any] = random.choice(
                [
                    {"title": unique("Edited")},
                    {"price_cents": random.randrange(10_000)},
                    {"description": unique("Text")},
                ]
            )
            try:
                with self.history.write() as versions:
                    versions[course.id] = courses.update(self.teacher, course.id, fields, None).version
            except (_Killed, Throttled):
                pass
            time.sleep(random.uniform(0, 1))

    def change_lessons(self, course: Course) -> None:
        _mortal.now = True
        while self.pause():
            try:
                with self.history.write():
                    lesson = lessons.create(self.teacher, course.id, LESSON)
                with self.history.write():
                    lessons.delete(self.teacher, lesson.id, None)
            except (_Killed, Throttled):
                pass
            time.sleep(random.uniform(0, 1.2))

    def toggle(self, course: Course) -> None:
        is_on_show = True
        while self.pause():
            is_on_show = not is_on_show
            with self.history.write({course.id: is_on_show}) as versions:
                changed = courses.update(self.teacher, course.id, {"is_published": is_on_show}, None)
                versions[course.id] = changed.version
            time.sleep(random.uniform(0, 1.2))

    def change_prices(self, course: Course) -> None:
        while self.pause():
            with self.history.write() as versions:
                price = random.randrange(10_000)
                versions[course.id] = courses.update(self.teacher, course.id, {"price_cents": price}, None).version
            time.sleep(random.uniform(0, 1.2))

    def publish_and_unpublish(self) -> None:
        while self.pause():
            show = dict[str, bool]()
            with self.history.write(show):
                course = create_course(self.teacher, random_time(), title="Passing")
                show[course.id] = True
            self._passing |= {course.id}
            time.sleep(random.uniform(0, 1.5))
            with self.history.write({course.id: False}):
                courses.delete(self.teacher, course.id, None)

    def read_course(self, visitor: Caller | None) -> None:
        while self.pause():
            course_id = random.choice([*self.watched, *[*self._passing][-3:]])
            looked_for = frozenset({course_id}) if visitor is None or course_id in self._passing else frozenset()
            with self.history.read(looked_for) as versions, contextlib.suppress(NotFound):
                versions[course_id] = courses.get(visitor, course_id).version
            self.served[read_through.cache_status.get()] += 1

    def read_lists(self) -> None:
        while self.pause():
            looked_for = self.watched | self._passing
            with self.history.read(looked_for) as versions:
                page = courses.list_courses(None, PageRequest(100), ordering=random.choice(ORDERINGS), own=False)
                versions |= {course["id"]: course["version"] for course in courses_of(page)}
            self.served[read_through.cache_status.get()] += 1

    def read_page_by_page(self) -> None:
        """Read all pages of a list. By price, a course can move to a page that was read before."""
        while self.pause():
            ordering, limit = random.choice(ORDERINGS), random.choice([2, 5])
            looked_for = frozenset[str]() if "price" in ordering else self.watched | self._passing
            with self.history.read(looked_for) as versions:
                request: PageRequest | None = PageRequest(limit)
                while request:
                    page = courses.list_courses(None, request, ordering=ordering, own=False)
                    versions |= {course["id"]: course["version"] for course in courses_of(page)}
                    self.served[read_through.cache_status.get()] += 1
                    request = PageRequest(limit, page.next_cursor) if page.next_cursor else None

    def fail_over(self, valkey: Valkey) -> None:
        """A replica takes over that lacks the last writes, if possible during a write whose begin it lacks.

        Each fourth time, the cache does not respond before.
        """
        for number in itertools.count(1):
            time.sleep(random.uniform(0.5, 1.5))
            if not self.pause():
                return
            replicated, known, replica = time.monotonic(), {*_living}, valkey.replicate()
            while not _living - known and time.monotonic() < replicated + 0.5:
                time.sleep(0.001)
            if number % 4 == 0:
                valkey.hang()
                time.sleep(random.uniform(0.2, 0.8))  # a writer gives up after 0.4 s
                valkey.resume()
            with self.history.failover(replicated):
                valkey.fail_over(replica)
            valkey.drop_connections()
            shorten_markers(valkey)

    def evict(self, valkey: Valkey, kinds: tuple[str, ...]) -> None:
        while self.pause():
            for key in random.choices(valkey.client.keys(f"*:{random.choice(kinds)}*") or [b""], k=2):
                valkey.client.delete(key)
            time.sleep(0.1)
