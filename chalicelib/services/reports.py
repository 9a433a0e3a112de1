"""Daily reports: one row per day, from the day's events and the previous day's report."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from chalicelib.core.caller import Caller
from chalicelib.core.errors import InvalidInput
from chalicelib.core.pagination import Page, PageRequest, paginate
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.ledger import Event, LedgerEntry
from chalicelib.models.reports import DAILY, Report
from chalicelib.models.users import User
from chalicelib.observability.logs import event_log
from chalicelib.services import users

_DAY_CLOSE_DELAY = timedelta(hours=1)  # until requests of the day have ended and the indexes contain their rows


def generate_missing(now: datetime, until: date | None = None) -> Iterator[Report]:
    """Store the report of each completed day (UTC) that has none, oldest first, up to ``until``.

    It starts after the latest report, or on the day of the first account. Repeated and concurrent runs store the same
    rows.
    """
    last = min(until or date.max, _last_completed_day(now))
    latest = Report.latest(last.isoformat())
    day = date.fromisoformat(latest.date) + timedelta(days=1) if latest else _first_day()
    while day is not None and day <= last:
        yield _generate(day)
        day += timedelta(days=1)


def regenerate_from(day: date, now: datetime) -> Iterator[Report]:
    """Store a day's report again, and those of the days after it, whose totals depend on it; missing ones first.

    Raises:
        InvalidInput: The day is not completed, or before the first registration.
    """
    last, first = _last_completed_day(now), _first_day()
    if day > last:
        raise InvalidInput.for_field("date", "not_completed", f"{day} is not completed yet (UTC).")
    if first is None or day < first:
        raise InvalidInput.for_field("date", "too_early", f"The first account was created on {first}.")
    for _ in generate_missing(now, until=day - timedelta(days=1)):
        pass
    while day <= last:
        yield _generate(day)
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


def _first_day() -> date | None:
    joined = User.first_joined()
    return date.fromisoformat(joined[:10]) if joined else None


def _generate(day: date) -> Report:
    previous = Report.latest((day - timedelta(days=1)).isoformat())
    first, last = f"{day}T00:00:00.000000Z", f"{day}T23:59:59.999999Z"

    def count_events(event: Event) -> int:
        return LedgerEntry.count_of(event, day.isoformat())

    def count_created(existing: set[str], event: Event) -> int:
        """Count by ID: an entity that is deleted during this run can be in the index and in the ledger."""
        return len(existing | LedgerEntry.entity_ids(event, day.isoformat()))

    def total(name: str, change: int) -> int:
        return (getattr(previous, name) if previous else 0) + change

    new_users = count_created(User.ids_joined(first, last), Event.USER_CREATED)
    new_courses = count_created(CourseListing.ids_created(first, last), Event.COURSE_CREATED)
    new_enrollments = count_created(Enrollment.ids_created(first, last), Event.ENROLLMENT_CREATED)
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
    )
    report.save()
    event_log.info("Daily report stored", date=report.date, **report.numbers)
    return report
