"""/reports, for admins."""

from chalice.app import Response

from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.reports import DailyReportList, DailyReportQuery, DailyReportRead
from chalicelib.services import reports
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.pagination import page_request, page_response
from chalicelib.web.routing import ApiBlueprint

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("GET", f"{API_PREFIX}/reports/daily", query=DailyReportQuery, responses={200: DailyReportList})
def list_daily_reports(request: ApiRequest[None, DailyReportQuery]) -> Response:
    """List the daily reports, newest first."""
    query = request.query
    page = reports.list_reports(request.caller, query.from_, query.to, page_request(request))
    return page_response(request, page, DailyReportList, [DailyReportRead.from_model(row) for row in page.items])
