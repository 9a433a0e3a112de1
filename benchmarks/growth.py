"""Calls to DynamoDB and capacity units of operations, while the lists that they read or extend grow a hundredfold.

The rows are inserted directly. Read units are computed from the bytes of the returned items, because the emulator
does not count them: 4 KB of consistent reads are one unit, of others half of one; in a batch each item is rounded up.
Write units are the emulator's, which follows DynamoDB's rules for transactions and indexes. The exponent is that of
rows in ``units = constant × rows ^ exponent``: 0 means that the costs do not depend on the number of rows.
"""

import contextlib
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from benchmarks.measuring import markdown_table
from chalicelib.adapters.cache.client import client
from chalicelib.adapters.dynamodb import connection
from chalicelib.core import clock
from chalicelib.core.pagination import Cursor, PageRequest
from chalicelib.core.roles import Role
from chalicelib.models import course_listings
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.enrollments import Enrollment
from chalicelib.services import courses, enrollments, reports
from tests.factories import course_ids, create_course, create_user

SIZES = (1_000, 10_000, 100_000)
EVENTS_OF_DAY = 50  # courses, and enrollments, on the day of the report
_PAGE_SIZE = 20
_DAYS = timedelta(days=10)  # the age of the other rows


@dataclass
class Usage:
    """The calls of an operation, and their capacity units."""

    calls: int = 0
    reads: float = 0
    writes: float = 0


def report(show: Callable[[str], None]) -> str:
    """Return the usage at each size, as Markdown; ``show`` is called with each size as it begins."""
    school = _School()
    usages: dict[str, list[Usage]] = {}
    for size in SIZES:
        show(f"{size:,} rows")
        school.grow_to(size)
        for name, operation in school.operations().items():
            with measured_usage() as usage:
                operation()
            usages.setdefault(name, []).append(usage)
    columns = ["Operation: calls, read and write units", *(f"{size:,} rows" for size in SIZES), "exponent"]
    return markdown_table(columns, [[name, *map(_shown, row), _exponent(row)] for name, row in usages.items()])


def _shown(usage: Usage) -> str:
    return f"{usage.calls}, {usage.reads:g} R, {usage.writes:g} W"


def _exponent(usages: Sequence[Usage]) -> str:
    """Return the slope of the units by the number of rows, both as logarithms, by least squares."""
    sizes = [math.log(size) for size in SIZES]
    units = [math.log(usage.reads + usage.writes) for usage in usages]
    return f"{statistics.linear_regression(sizes, units).slope:.2f}"


class _School:
    """Courses, one of which has a growing number of enrollments, and lists with a growing number of rows."""

    def __init__(self) -> None:
        self._today = clock.now()
        self._before = clock.format_timestamp(self._today - _DAYS)
        self._admin, teacher = create_user(Role.ADMIN), create_user(Role.INSTRUCTOR)
        self._courses = [
            create_course(teacher, self._today, title="Word", description="Words of a description. " * 20)
            for _ in range(EVENTS_OF_DAY)
        ]
        self._insert_enrollments(range(EVENTS_OF_DAY), clock.format_timestamp(self._today))
        self._size = EVENTS_OF_DAY

    def grow_to(self, size: int) -> None:
        """Insert older rows into the lists of courses, and older enrollments."""
        numbers = range(self._size, size)
        names = [course_listings.by_date(name) for name in (course_listings.ALL, course_listings.PUBLISHED)]
        with CourseListing.batch_write() as batch:
            for number in numbers:
                for name in [*names, course_listings.with_keyword("word")]:
                    batch.save(CourseListing(name, self._sort_key(number)))
        self._insert_enrollments(numbers, self._before)
        self._size = size

    def operations(self) -> dict[str, Callable[[], Any]]:
        """Return the operations by name. Each reads the database, because the cache is empty or not involved."""
        first, middle = PageRequest(_PAGE_SIZE), PageRequest(_PAGE_SIZE, Cursor(self._sort_key(self._size // 2)))
        course_id = self._courses[0].id

        def list_courses(request: PageRequest) -> None:
            page = courses.list_courses(self._admin, request, ordering="-created_at", own=False)
            assert len(course_ids(page)) == _PAGE_SIZE

        def list_enrollments(course: str | None) -> None:
            page = enrollments.list_enrollments(self._admin, first, course=course, student=None)
            assert len(page.items) == _PAGE_SIZE

        def search() -> None:
            _clear_cache()
            assert len(course_ids(courses.search(first, "word"))) == _PAGE_SIZE

        student = create_user(Role.STUDENT)

        def enroll() -> None:
            _clear_cache()
            enrollments.enroll(student, course_id, self._today + timedelta(days=3))  # not on the day of the report

        return {
            "first page of courses": lambda: list_courses(first),
            "page of courses in the middle": lambda: list_courses(middle),
            "search": search,
            "enrollments of a course": lambda: list_enrollments(course_id),
            "all enrollments": lambda: list_enrollments(None),
            "enroll, course not cached": enroll,
            f"report of a day with {EVENTS_OF_DAY} courses and enrollments": self._report,
        }

    def _report(self) -> None:
        day = self._today.date()
        for stored in islice(reports.regenerate_from(day, self._today + timedelta(days=1, hours=2)), 1):
            assert stored.numbers["new_enrollments"] == EVENTS_OF_DAY

    def _insert_enrollments(self, numbers: range, created_at: str) -> None:
        with Enrollment.batch_write() as batch:
            for number in numbers:
                row = Enrollment.new(f"{number:016d}", self._courses[0].id, created_at, "")
                row.email_pending = None
                batch.save(row)

    def _sort_key(self, number: int) -> str:
        """Return a sort key before those of today's courses. Its last part is the ID of a course that exists."""
        return f"{self._before}#{number:08d}#{self._courses[number % len(self._courses)].id}"


def _clear_cache() -> None:
    client().flushall()


@contextlib.contextmanager
def measured_usage() -> Iterator[Usage]:
    """Yield the usage of the calls that follow; the row that says whether the cache is in use is not counted."""
    usage, events = Usage(), connection().client.meta.events

    def request(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        context["consistent"] = "ConsistentRead': True" in str(params)
        context["is_counted"] = "-cache-state-" not in str(params)
        if model.name != "BatchGetItem":
            params["ReturnConsumedCapacity"] = "TOTAL"

    def response(parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        if not context["is_counted"]:
            return
        usage.calls += 1
        if parsed.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
            usage.writes += 1  # of a failed condition, whose item has less than 1 KB
            return
        share = 1 if context["consistent"] else 0.5
        if model.name in ("GetItem", "Query", "BatchGetItem"):
            usage.reads += share * _read_blocks(model.name, parsed)
        else:
            capacity = parsed["ConsumedCapacity"]
            usage.writes += sum(
                one["CapacityUnits"] for one in (capacity if isinstance(capacity, list) else [capacity])
            )

    events.register("provide-client-params.dynamodb", request)
    events.register("after-call.dynamodb", response)
    try:
        yield usage
    finally:
        events.unregister("provide-client-params.dynamodb", request)
        events.unregister("after-call.dynamodb", response)


def _read_blocks(operation: str, parsed: dict[str, Any]) -> int:
    """Return the blocks of 4 KB that a response took, at least one."""
    if operation == "BatchGetItem":
        items = [item for found in parsed["Responses"].values() for item in found]
        return sum(_blocks([item]) for item in items)
    items = [parsed.get("Item", {})] if operation == "GetItem" else parsed.get("Items", [])
    assert parsed.get("ScannedCount", 0) == parsed.get("Count", 0), "a filter read rows that were not returned"
    return _blocks(items)


def _blocks(items: Sequence[dict[str, Any]]) -> int:
    size = sum(len(name) + len(str(next(iter(value.values())))) for item in items for name, value in item.items())
    return max(1, math.ceil(size / 4096))
