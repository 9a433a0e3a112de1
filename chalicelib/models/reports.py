"""Reports, by kind and date."""

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.models.base import Table, table_name

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

    @classmethod
    def latest(cls, until: str) -> "Report | None":
        """The newest daily report of ``until`` (a date) or before."""
        newest = cls.query(DAILY, cls.date <= until, scan_index_forward=False, limit=1, consistent_read=True)
        return next(newest, None)
