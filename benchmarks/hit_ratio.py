"""Hit ratio of the cache under a load whose courses and pages follow Zipf's law.

The application's services and a real Valkey serve the reads, one after the other, on a simulated clock: after each
two seconds of the load, the time to live of all keys in Valkey is shortened by these seconds, less those that really
passed. So the code and the constants of the cache are used as they are, and five minutes of load take seconds. The
simulation has no concurrent requests.

A read is a hit if it makes no call to DynamoDB. Of DynamoDB, one method is replaced: the emulator sorts the whole
partition for each page of a list, which takes a tenth of a second.
"""

import bisect
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import valkey

from benchmarks.measuring import is_cache_state, markdown_table
from chalicelib.adapters.dynamodb import connection
from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.pagination import Cursor, PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.services import courses, lessons
from tests.factories import course_ids, create_course, create_user

COURSES, PAGE_SIZE = 10_000, 20
READS_PER_SECOND, WRITES_PER_SECOND = 100, 1
LIST_SHARE = 0.2  # of the reads in the mixed loads
WARM_UP_SECONDS, MEASURED_SECONDS = 300, 200  # an entry lives for 300 seconds at most
CLOCK_STEP_SECONDS = 2
TARGET = 0.75
DESCRIPTION = "Words of a description. " * 20

_AGE_KEYS = """
local milliseconds = tonumber(ARGV[1])
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left > milliseconds then redis.call('PEXPIRE', key, left - milliseconds)
  elseif left > 0 then redis.call('DEL', key) end
end
return 1
"""


def report(show: Callable[[str], None]) -> str:
    """Return the hit ratios, as Markdown; ``show`` is called with each load as it begins."""
    school = _School()
    rows = []
    with school.in_memory_listing():
        for previous, load in zip((None, *LOADS), LOADS, strict=False):
            show(load.name)
            if previous is None or previous.list_share != load.list_share:
                school.warm_up(load)
            rows.append([load.name, *_ratios(school.simulate(load, MEASURED_SECONDS))])
    columns = ["Reads; one write a second", "courses", "lists", "all reads", f"target {TARGET:.0%}"]
    return markdown_table(columns, rows)


def _ratios(counts: "Counter[tuple[str, bool]]") -> Iterator[str]:
    for kinds in (("course",), ("list",), ("course", "list")):
        hits = sum(counts[kind, True] for kind in kinds)
        reads = hits + sum(counts[kind, False] for kind in kinds)
        yield f"{hits / reads:.1%}" if reads else ""
    yield "met" if hits / reads >= TARGET else "not met"


class _School:
    """Courses of one instructor, their list in memory, and what reads and changes them."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self._teacher: Caller = create_user(Role.INSTRUCTOR)
        self._course_ids = [ids.new_id() for _ in range(COURSES)]
        created_at = clock.format_timestamp(clock.now())
        fields: dict[str, Any] = {"description": DESCRIPTION, "price_cents": 0, "is_published": True}
        fields |= {"owner_id": self._teacher.id, "owner": self._teacher.username}
        fields |= {"created_at": created_at, "updated_at": created_at}
        with Course.batch_write() as batch:
            for number, course_id in enumerate(self._course_ids):
                batch.save(Course(course_id, title=f"Course {number}", **fields))
        self._sort_keys = sorted(f"{created_at}#{course_id}" for course_id in self._course_ids)
        self._database_reads = 0
        self._clock = _SimulatedClock()
        self._course_weights = _zipf(COURSES)
        self._page_weights = _zipf(COURSES // PAGE_SIZE)

    def warm_up(self, load: "Load") -> None:
        """Begin with an empty cache, and fill it by the reads of a load."""
        self._clock.flush()
        self.simulate(replace(load, write=None), WARM_UP_SECONDS)

    @contextmanager
    def in_memory_listing(self) -> Iterator[None]:
        """Serve the list of published courses from memory, and count it and all calls to DynamoDB as reads."""
        events = connection().client.meta.events
        events.register("provide-client-params.dynamodb", self._count)
        with mock.patch.object(CourseListing, "page", self._page):
            yield
        events.unregister("provide-client-params.dynamodb", self._count)

    def simulate(self, load: "Load", seconds: int) -> "Counter[tuple[str, bool]]":
        """Return the number of reads by kind, and by whether they were hits."""
        counts = Counter[tuple[str, bool]]()
        for second in range(seconds):
            writes = self._random.sample(range(READS_PER_SECOND), WRITES_PER_SECOND)
            for number in range(READS_PER_SECOND):
                if load.write and number in writes:
                    load.write(self)
                kind = "list" if self._random.random() < load.list_share else "course"
                before = self._database_reads
                self._read_page() if kind == "list" else self._read_course()
                counts[kind, self._database_reads == before] += 1
            if (second + 1) % CLOCK_STEP_SECONDS == 0:
                self._clock.advance(CLOCK_STEP_SECONDS)
        return counts

    def _read_course(self) -> None:
        [course_id] = self._random.choices(self._course_ids, cum_weights=self._course_weights)
        courses.get(None, course_id)

    def _read_page(self) -> None:
        [number] = self._random.choices(range(len(self._page_weights)), cum_weights=self._page_weights)
        cursor = Cursor(self._sort_keys[-number * PAGE_SIZE]) if number else None
        page = courses.list_courses(None, PageRequest(PAGE_SIZE, cursor), ordering="-created_at", own=False)
        assert len(course_ids(page)) == PAGE_SIZE

    def add_lesson(self) -> None:
        """Add a lesson to a random course."""
        fields = {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}
        lessons.create(self._teacher, self._random.choice(self._course_ids), fields)

    def edit_description(self) -> None:
        """Edit the description of a random course."""
        fields = {"description": f"{DESCRIPTION} {self._random.random()}"}
        courses.update(self._teacher, self._random.choice(self._course_ids), fields, None)

    def publish(self) -> None:
        """Create a published course."""
        course = create_course(self._teacher, description=DESCRIPTION)
        self._sort_keys.append(f"{course.created_at}#{course.id}")

    def _page(
        self, partitions: Sequence[str], *, ascending: bool, after: str | None, limit: int
    ) -> list[CourseListing]:
        """Replaces the method CourseListing.page for the list of published courses, newest first."""
        assert not ascending
        self._database_reads += 1
        end = len(self._sort_keys) if after is None else bisect.bisect_left(self._sort_keys, after)
        keys = self._sort_keys[max(0, end - limit) : end]
        return [CourseListing(partitions[0], key) for key in reversed(keys)]

    def _count(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._database_reads += not is_cache_state((model.name, params))


class _SimulatedClock:
    """Lets the keys in Valkey grow older."""

    def __init__(self) -> None:
        self._valkey = valkey.Valkey.from_url(settings().cache_url)
        self._last = time.monotonic()

    def flush(self) -> None:
        """Begin with an empty cache."""
        self._valkey.flushall()
        self._last = time.monotonic()

    def advance(self, seconds: float) -> None:
        """Let all keys be older by these seconds, of which some have passed really."""
        missing = seconds - (time.monotonic() - self._last)
        if missing > 0:
            self._valkey.eval(_AGE_KEYS, 0, str(int(1000 * missing)))
        self._last = time.monotonic()


def _zipf(count: int) -> list[float]:
    """Return the cumulated weights of ranks by Zipf's law with the exponent 1."""
    return [*itertools.accumulate(1 / rank for rank in range(1, count + 1))]


@dataclass(frozen=True)
class Load:
    """Reads, a share of which are of lists, and a kind of write."""

    name: str
    list_share: float
    write: Callable[[_School], None] | None = None


LOADS = (
    Load("courses", 0),
    Load("courses; lessons added", 0, _School.add_lesson),
    Load("courses and lists", LIST_SHARE),
    Load("courses and lists; lessons added", LIST_SHARE, _School.add_lesson),
    Load("courses and lists; descriptions edited", LIST_SHARE, _School.edit_description),
    Load("courses and lists; courses published", LIST_SHARE, _School.publish),
)
