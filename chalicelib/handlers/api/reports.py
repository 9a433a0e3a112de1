"""/reports, for admins."""

from chalice.app import Response

from chalicelib.schemas.reports import DailyReportList, DailyReportOut, DailyReportQuery
from chalicelib.services import reports
from chalicelib.web.pagination import list_answer, page_request
from chalicelib.web.routing import API, Call, Endpoints

blueprint = Endpoints(__name__)


@blueprint.endpoint("GET", f"{API}/reports/daily", query=DailyReportQuery, answers={200: DailyReportList})
def list_daily_reports(call: Call[None, DailyReportQuery]) -> Response:
    """The daily reports, newest first."""
    query = call.query
    page = reports.between(call.caller, query.from_, query.to, page_request(call))
    return list_answer(call, page, DailyReportList, [DailyReportOut.of(report) for report in page.items])
