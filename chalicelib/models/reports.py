"""Reports, by kind and date."""

from datetime import date, timedelta

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.models.base import Table, held, table_name

DAILY = "daily"


class Report(Table):
    """One day's numbers: totals at its end, and what was new on it."""

    class Meta:
        table_name = table_name("reports")

    kind = UnicodeAttribute(hash_key=True)
    date = UnicodeAttribute(range_key=True)
    courses = NumberAttribute()
    published_courses = NumberAttribute()
    users = NumberAttribute()
    enrollments = NumberAttribute()
    new_enrollments = NumberAttribute()
    new_users = NumberAttribute()
    mailed_at = UnicodeAttribute(null=True)
    """When the admins had it by mail (RFC 3339)."""

    @classmethod
    def latest(cls, until: str) -> "Report | None":
        """The newest daily report of ``until`` (a date) or before."""
        newest = cls.query(DAILY, cls.date <= until, scan_index_forward=False, limit=1, consistent_read=True)
        return next(newest, None)

    def note_mailed(self, moment: str) -> None:
        """Note that the admins have it."""
        held(lambda: self.update([Report.mailed_at.set(moment)], condition=Report.kind.exists()))

    @property
    def position(self) -> str:
        """Its place among the reports."""
        return str(self.date)

    @classmethod
    def list(cls, first: str, last: str, *, after: str | None, back: bool, limit: int) -> "Reports":
        """Up to ``limit`` daily reports from ``first`` to ``last`` (dates), newest first, behind a date."""
        if after is not None and back:
            first = max(first, after + "~")
        elif after is not None:
            last = min(last, _day_before(after))
        if first > last:
            return []
        rows = cls.query(
            DAILY, cls.date.between(first, last), scan_index_forward=back, limit=limit, consistent_read=True
        )
        return [*rows]


Reports = list[Report]


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()
