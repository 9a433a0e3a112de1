"""Daily reports: one row per day, from the day's events and the previous day's report."""

import heapq
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import InvalidInput
from chalicelib.core.pagination import Page, PageRequest, paginate
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.ledger import Event, LedgerEntry
from chalicelib.models.reports import DAILY, PartialCount, Report
from chalicelib.models.users import User
from chalicelib.observability.logs import event_log
from chalicelib.services import users

_DAY_CLOSE_DELAY = timedelta(hours=1)  # until requests of the day have ended and the indexes contain their rows
# A report is computed again this long after its day, in case that an index lagged for longer.
_RECOMPUTE_AFTER = (timedelta(hours=25), timedelta(hours=49))
_GAP_WINDOW = timedelta(days=35)  # within which a missing report is noticed, and after which a report is final
_CHECK_EVERY = 5_000  # enrollments between two checks of the remaining time

Continue = Callable[[], bool]


class OutOfTimeError(Exception):
    """The remaining time does not suffice for the report of a day. The next run continues with it."""


def generate_missing(
    now: datetime, until: date | None = None, should_continue: Continue = lambda: True
) -> Iterator[Report]:
    """Store the report of each completed day (UTC) that has none, oldest first, up to ``until``.

    It starts after the latest report, or on the day of the first account. It also computes the latest two days again,
    and the days after a gap or a changed report, because their totals depend on it. Repeated and concurrent runs store
    the same rows.

    Raises:
        OutOfTimeError: ``should_continue`` returned False.
    """
    last = min(until or date.max, _last_completed_day(now))
    day = _first_day_to_check(last)
    if day is None or day > last:
        return
    stored = {report.date: report for report in Report.between(str(day), str(last))}
    is_changed = False
    while day <= last:
        previous = stored.get(day.isoformat())
        if previous is None or is_changed or _is_due(previous, now):
            report = _generate(day, now, should_continue)
            if previous is None or previous.numbers != report.numbers:
                is_changed = True
                yield report
        day += timedelta(days=1)


def regenerate_from(day: date, now: datetime) -> Iterator[Report]:
    """Store a day's report again, and those of the days after it, whose totals depend on it; missing ones first.

    Raises:
        InvalidInput: The day is not completed, before the first registration, or too long ago.
    """
    last, first = _last_completed_day(now), _first_day()
    if day > last:
        raise InvalidInput.for_field("date", "not_completed", f"{day} is not completed yet (UTC).")
    if first is None or day < first:
        raise InvalidInput.for_field("date", "too_early", f"The first account was created on {first}.")
    if day < last - _GAP_WINDOW:
        message = f"The events of days before {last - _GAP_WINDOW} are no longer stored: their reports are final."
        raise InvalidInput.for_field("date", "too_early", message)
    for _ in generate_missing(now, until=day - timedelta(days=1)):
        pass
    while day <= last:
        yield _generate(day, now)
        day += timedelta(days=1)


def list_reports(caller: Caller, first: date | None, last: date | None, request: PageRequest) -> Page[Report]:
    """Return a page of the daily reports of a period, newest first.

    Raises:
        Forbidden: The caller is not an admin.
    """
    users.require_admin(caller)

    def fetch(after: str | None, backward: bool, limit: int) -> list[Report]:
        period = str(first or date.min), str(last or date.max)
        return Report.page(*period, after=after, backward=backward, limit=limit)

    return paginate(request, fetch)


def _last_completed_day(now: datetime) -> date:
    return (now.astimezone(UTC) - _DAY_CLOSE_DELAY).date() - timedelta(days=1)


def _first_day_to_check(last: date) -> date | None:
    """Return the first day whose report may be missing or has to be computed again, or None if there are no users."""
    window = last - _GAP_WINDOW
    before = Report.latest(str(window))
    if before is None:
        first_reports = Report.between(str(window), str(last))[:1]
        days = [date.fromisoformat(report.date) for report in first_reports] + [*filter(None, [_first_day()])]
        return min(days, default=None)
    latest = Report.latest(str(last)) or before
    return min(window, date.fromisoformat(latest.date) + timedelta(days=1))


def _first_day() -> date | None:
    joined = User.first_joined()
    return date.fromisoformat(joined[:10]) if joined else None


def _is_due(report: Report, now: datetime) -> bool:
    """Return whether a time to compute the report again has passed since it was computed."""
    end = datetime.combine(date.fromisoformat(report.date), time(), UTC) + timedelta(days=1)
    return any(
        report.computed_at < clock.format_timestamp(end + after) <= clock.format_timestamp(now)
        for after in _RECOMPUTE_AFTER
    )


def _generate(day: date, now: datetime, should_continue: Continue = lambda: True) -> Report:
    previous = Report.latest((day - timedelta(days=1)).isoformat())
    first, last = f"{day}T00:00:00.000000Z", f"{day}T23:59:59.999999Z"

    def count_events(event: Event) -> int:
        return LedgerEntry.count_of(event, day.isoformat())

    def count_created(existing: Iterator[tuple[str, str]], event: Event) -> int:
        recorded = LedgerEntry.entities_between(event, first, last)
        return sum(number for _, number in _count_distinct(existing, recorded))

    def total(name: str, change: int) -> int:
        return (getattr(previous, name) if previous else 0) + change

    new_users = count_created(User.joined_between(first, last), Event.USER_CREATED)
    new_courses = count_created(CourseListing.created_between(first, last), Event.COURSE_CREATED)
    new_enrollments = _count_enrollments(first, last, should_continue)
    newly_published = count_events(Event.COURSE_PUBLISHED) - count_events(Event.COURSE_UNPUBLISHED)
    report = Report(
        DAILY,
        day.isoformat(),
        courses=total("courses", new_courses - count_events(Event.COURSE_DELETED)),
        published_courses=total("published_courses", newly_published),
        users=total("users", new_users - count_events(Event.USER_DELETED)),
        enrollments=total("enrollments", new_enrollments - count_events(Event.ENROLLMENT_DELETED)),
        new_enrollments=new_enrollments,
        new_users=new_users,
        computed_at=clock.format_timestamp(now),
    )
    report.store_numbers()
    event_log.info("Daily report stored", date=report.date, **report.numbers)
    return report


def _count_enrollments(first: str, last: str, should_continue: Continue) -> int:
    """Count the enrollments of a day, from where an earlier run had to stop."""
    partial = PartialCount.of(first[:10])
    is_resumed = bool(partial.position)
    since = f"{partial.position}#~" if partial.position else first
    existing = Enrollment.created_between(since, last)
    recorded = LedgerEntry.entities_between(Event.ENROLLMENT_CREATED, since, last)
    checked = partial.number
    for partial.position, number in _count_distinct(existing, recorded):
        partial.number += number
        if partial.number - checked >= _CHECK_EVERY:
            checked = partial.number
            if not should_continue():
                partial.store()
                raise OutOfTimeError(first[:10])
    if is_resumed:
        partial.delete()
    return int(partial.number)


def _count_distinct(*streams: Iterator[tuple[str, str]]) -> Iterator[tuple[str, int]]:
    """Merge streams of times and IDs that are sorted by time; return each time with its number of distinct IDs.

    An entity that is deleted during this run can be both in the index and in the ledger.
    """
    merged = heapq.merge(*streams, key=lambda one: one[0])
    for timestamp, entities in groupby(merged, key=lambda one: one[0]):
        yield timestamp, len({entity_id for _, entity_id in entities})
