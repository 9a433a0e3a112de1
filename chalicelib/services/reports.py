"""Reports: one row a day, from what the day left behind and the row before it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Invalid
from chalicelib.core.pagination import Page, PageRequest, turn_to
from chalicelib.core.roles import Role
from chalicelib.models import course_listings, ledger
from chalicelib.models.course_listings import CourseListRow
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.ledger import PUBLISHED, UNPUBLISHED, LedgerEntry
from chalicelib.models.reports import DAILY, Report
from chalicelib.models.users import User
from chalicelib.observability import logs
from chalicelib.services import users

_GRACE = timedelta(hours=1)


def fill(now: datetime, until: date | None = None) -> Iterator[Report]:
    """Store the report of every whole day (UTC) that has none yet, oldest first, up to ``until``.

    Days are counted on from the newest report, or from the first account. Running it twice, or at
    once in two places, stores the same rows.
    """
    last = min(until or date.max, _last_whole_day(now))
    newest = Report.latest(last.isoformat())
    day = date.fromisoformat(newest.date) + timedelta(days=1) if newest else _first_day()
    while day is not None and day <= last:
        yield _store(day)
        day += timedelta(days=1)


def redo(day: date, now: datetime) -> Iterator[Report]:
    """Store a day's report anew, and those of the days after it that stand on it; missing ones before it first.

    Raises Invalid for a day that is not over.
    """
    last = _last_whole_day(now)
    if day > last:
        raise Invalid.field("date", "not_over", f"{day} is not over yet (UTC): its report would be wrong.")
    for _ in fill(now, until=day - timedelta(days=1)):
        pass
    while day <= last:
        yield _store(day)
        day += timedelta(days=1)


def _last_whole_day(now: datetime) -> date:
    """The last day that nothing can be added to: what began in it has ended, and the indexes have it."""
    return (now.astimezone(UTC) - _GRACE).date() - timedelta(days=1)


def _store(day: date) -> Report:
    before = Report.latest((day - timedelta(days=1)).isoformat())
    first, last = f"{day}T00:00:00.000000Z", f"{day}T23:59:59.999999Z"

    def noted(event: str) -> int:
        return LedgerEntry.count_of(event, day.isoformat())

    def made(there: set[str], kind: str) -> int:
        """Those that are there, and those that were: what is deleted while this runs can be seen as both."""
        return len(there | LedgerEntry.things(f"{kind}-made", day.isoformat()))

    new_users = made(User.ids_joined(first, last), ledger.USER)
    new_courses = made(CourseListRow.ids_created(course_listings.ALL, first, last), ledger.COURSE)
    new_enrollments = made(Enrollment.ids_created(first, last), ledger.ENROLLMENT)
    report = Report(
        DAILY,
        day.isoformat(),
        courses=(before.courses if before else 0) + new_courses - noted("course-ended"),
        published_courses=(before.published_courses if before else 0) + noted(PUBLISHED) - noted(UNPUBLISHED),
        users=(before.users if before else 0) + new_users - noted("user-ended"),
        enrollments=(before.enrollments if before else 0) + new_enrollments - noted("enrollment-ended"),
        new_enrollments=new_enrollments,
        new_users=new_users,
    )
    report.save()
    logs.events.info("Daily report", extra={"extra": {"date": report.date, **numbers(report)}})
    return report


def numbers(report: Report) -> dict[str, int]:
    """A report's numbers by their names."""
    names = ("courses", "published_courses", "users", "enrollments", "new_enrollments", "new_users")
    return {name: int(getattr(report, name)) for name in names}


def _first_day() -> date | None:
    joined = [moment for role in Role if (moment := User.first_joined(role))]
    return date.fromisoformat(min(joined)[:10]) if joined else None


def between(caller: Caller, first: date | None, last: date | None, request: PageRequest) -> Page[Report]:
    """A page of the stored daily reports of these days, newest first.

    Raises Forbidden for who is no admin.
    """
    users.check_admin(caller)

    def fetch(after: str | None, back: bool, limit: int) -> list[Report]:
        return Report.list(str(first or date.min), str(last or date.max), after=after, back=back, limit=limit)

    return turn_to(request, fetch)
