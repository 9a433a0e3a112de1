"""Reports."""

from datetime import date

from pydantic import ConfigDict, Field

from chalicelib.models.reports import Report
from chalicelib.schemas.base import Day, ListOut, PageQuery, Schema


class DailyReportOut(Schema):
    """One day (UTC): totals at its end, and what was new on it."""

    date: date
    courses: int
    published_courses: int
    users: int
    enrollments: int
    new_enrollments: int
    new_users: int

    @classmethod
    def of(cls, report: Report) -> "DailyReportOut":
        """What the API shows of a report."""
        return cls.model_validate({name: getattr(report, name) for name in cls.model_fields})


class DailyReportList(ListOut[DailyReportOut]):
    """A page of daily reports."""


class DailyReportQuery(PageQuery):
    """The parameters of the list of daily reports."""

    model_config = ConfigDict(defer_build=True, extra="ignore", validate_by_name=True)

    from_: Day | None = Field(None, alias="from", description="This day and later.")
    to: Day | None = Field(None, description="This day and before.")
