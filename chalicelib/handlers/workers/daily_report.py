"""Scheduled function: the daily report. It runs every hour, so that a missed run repairs itself."""

from datetime import date
from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib.adapters import dynamodb
from chalicelib.core import clock
from chalicelib.core.config import settings
from chalicelib.core.init_phase import run_in_init_phase
from chalicelib.models.reports import Report
from chalicelib.observability import logs
from chalicelib.observability.logs import event_log, log_unhandled_errors
from chalicelib.services import report_emails, reports

_SHUTDOWN_MARGIN_MS = 30_000

logs.configure()
run_in_init_phase(dynamodb.prepare)
blueprint = Blueprint(__name__)


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="daily_report")
@log_unhandled_errors
def daily_report(event: CloudWatchEvent) -> dict[str, list[str]]:
    """Store the report of each completed day that has none, and request that the latest is sent to the admins."""
    context: Any = event.context
    logs.request_id.set(context.aws_request_id)

    def should_continue() -> bool:
        return bool(context.get_remaining_time_in_millis() > _SHUTDOWN_MARGIN_MS)

    stored = []
    try:
        for report in reports.generate_missing(clock.now(), should_continue=should_continue):
            stored.append(report.date)
    except reports.OutOfTimeError as error:
        event_log.info("The next run continues with this day's report", date=str(error))
    if settings().email_reports:
        latest = Report.latest(date.max.isoformat())
        if latest and not latest.emailed_at:
            report_emails.request(latest)
    return {"stored": stored}
