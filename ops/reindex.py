"""The rows of courses in their lists and keywords, compared with the courses and repaired.

An edit deletes the rows of the keywords that it removes, and the next write of the course those that a killed edit
left. So this is for courses that are never written again, and for a release that changes what the keywords are. It
changes nothing that is right, so that it can be interrupted, and run again, at any time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from chalicelib.adapters.cache import switch
from chalicelib.models.base import retry_stale_reads
from chalicelib.models.course_listings import CourseListing, listing_rows
from chalicelib.models.courses import Course

_BATCH_SIZE = 90  # a transaction has at most 100 items


@dataclass
class Repairs:
    """The rows read and repaired so far."""

    rows: int = 0
    courses: int = 0
    added: int = 0
    deleted: int = 0


def run() -> Iterator[Repairs]:
    """Delete the rows that no course has, then add those that are missing; yield the numbers so far.

    Lists that were cached before are not read afterwards: the cache is switched off for a minute, and begins empty. Its
    Valkey itself is not reached from outside of its VPC.
    """
    repairs = Repairs()
    try:
        yield from _delete_extra_rows(repairs)
        yield from _add_missing_rows(repairs)
    finally:
        if repairs.added or repairs.deleted:
            switch.turn_off()


def _delete_extra_rows(repairs: Repairs) -> Iterator[Repairs]:
    rows = CourseListing.scan()
    while batch := [*islice(rows, _BATCH_SIZE)]:
        ids = {row.course_id for row in batch}
        expected = {row.key for course in Course.find_all([*ids]).values() for row in listing_rows(course)}
        for course_id in {row.course_id for row in batch if row.key not in expected}:
            found = [row for row in batch if row.course_id == course_id]
            repairs.deleted += retry_stale_reads(lambda: _delete_extra(course_id, found))  # noqa: B023  called at once
        repairs.rows += len(batch)
        yield repairs


def _delete_extra(course_id: str, rows: list[CourseListing]) -> int:
    course = Course.find(course_id)
    if course is None:  # and it will never exist again
        for row in rows:
            row.delete()
        return len(rows)
    expected = {row.key for row in listing_rows(course)}
    extra = [row for row in rows if row.key not in expected]
    course.repair_listings(missing=[], extra=extra)
    return len(extra)


def _add_missing_rows(repairs: Repairs) -> Iterator[Repairs]:
    for row in Course.scan(Course.deleted_at.does_not_exist()):
        repairs.added += retry_stale_reads(lambda: _add_missing(row.id))  # noqa: B023  called at once
        repairs.courses += 1
        yield repairs


def _add_missing(course_id: str) -> int:
    course = Course.find(course_id)
    if course is None:
        return 0
    expected = {row.key: row for row in listing_rows(course)}
    existing = {row.key for row in CourseListing.batch_get([*expected], consistent_read=True)}
    missing = [row for key, row in expected.items() if key not in existing]
    if missing:
        course.repair_listings(missing=missing, extra=[])
    return len(missing)
