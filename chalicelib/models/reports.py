"""Reports, by period and date."""

from datetime import date, timedelta

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.models.base import Table, TableMeta, try_conditional

DAILY = "daily"
NUMBERS = ("courses", "published_courses", "users", "enrollments", "new_enrollments", "new_users")


class Report(Table):
    """The numbers of one day: totals at its end, and new entities on it."""

    class Meta(TableMeta):
        name = "reports"

    period = UnicodeAttribute(hash_key=True)
    date = UnicodeAttribute(range_key=True)
    courses = NumberAttribute()
    published_courses = NumberAttribute()
    users = NumberAttribute()
    enrollments = NumberAttribute()
    new_enrollments = NumberAttribute()
    new_users = NumberAttribute()
    computed_at = UnicodeAttribute(default="")  # when its numbers were read last (RFC 3339)
    emailed_at = UnicodeAttribute(null=True)  # when its emails were requested (RFC 3339)

    @property
    def sort_key(self) -> str:
        """The report's sort key in the list of reports."""
        return str(self.date)

    @property
    def numbers(self) -> dict[str, int]:
        """The report's numbers, by name."""
        return {name: int(getattr(self, name)) for name in NUMBERS}

    @classmethod
    def latest(cls, until: str) -> "Report | None":
        """Return the latest daily report until a date (inclusive), by a consistent read."""
        rows = cls.query(DAILY, cls.date <= until, scan_index_forward=False, limit=1, consistent_read=True)
        return next(rows, None)

    @classmethod
    def between(cls, first: str, last: str) -> "list[Report]":
        """Return the daily reports from ``first`` to ``last`` (dates), oldest first, by a consistent read."""
        return [*cls.query(DAILY, cls.date.between(first, last), consistent_read=True)]

    @classmethod
    def page(cls, first: str, last: str, *, after: str | None, backward: bool, limit: int) -> "list[Report]":
        """Return up to ``limit`` daily reports from ``first`` to ``last`` (dates), newest first, after a date."""
        if after is not None and backward:
            first = max(first, after + "~")
        elif after is not None:
            last = min(last, _day_before(after))
        if first > last:
            return []
        rows = cls.query(
            DAILY, cls.date.between(first, last), scan_index_forward=backward, limit=limit, consistent_read=True
        )
        return [*rows]

    def store_numbers(self) -> None:
        """Store the numbers, and keep whether the report was emailed."""
        names = (*NUMBERS, "computed_at")
        self.update([getattr(Report, name).set(getattr(self, name)) for name in names])

    def mark_emailed(self, at: str) -> None:
        """Record that the report's emails were requested."""
        try_conditional(lambda: self.update([Report.emailed_at.set(at)], condition=Report.period.exists()))


class PartialCount(Table):
    """How far the enrollments of a day are counted, when one run did not suffice for it."""

    class Meta(TableMeta):
        name = "reports"

    period = UnicodeAttribute(hash_key=True, default="partial-count")
    date = UnicodeAttribute(range_key=True)
    position = UnicodeAttribute(default="")  # creation of the last one counted (RFC 3339)
    number = NumberAttribute(default=0)

    @classmethod
    def of(cls, day: str) -> "PartialCount":
        """Return the count of a day so far, by a consistent read."""
        key = cls(date=day)
        return cls.get_or_none(key.period, day) or key

    def store(self) -> None:
        """Store how far it is."""
        self.update([PartialCount.position.set(self.position), PartialCount.number.set(self.number)])


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()
