"""Reports."""

from datetime import date

from pydantic import ConfigDict, Field

from chalicelib.models.reports import Report
from chalicelib.schemas.base import IsoDate, PageQuery, PageRead, Schema


class DailyReportRead(Schema):
    """The numbers of one day (UTC): totals at its end, and new entities on it."""

    date: date
    courses: int
    published_courses: int
    users: int
    enrollments: int
    new_enrollments: int
    new_users: int

    @classmethod
    def from_model(cls, report: Report) -> "DailyReportRead":
        """Return the public fields of a report."""
        return cls.model_validate({name: getattr(report, name) for name in cls.model_fields})


class DailyReportList(PageRead):
    """A page of daily reports."""

    results: list[DailyReportRead]


class DailyReportQuery(PageQuery):
    """The parameters of the list of daily reports."""

    model_config = ConfigDict(defer_build=True, extra="ignore", validate_by_name=True)

    from_: IsoDate | None = Field(None, alias="from", description="The first day.")
    to: IsoDate | None = Field(None, description="The last day.")
