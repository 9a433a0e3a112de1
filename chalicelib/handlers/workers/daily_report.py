"""Scheduled function: the daily report. It runs every hour, so that a missed run repairs itself."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib.adapters import dynamodb, idempotency
from chalicelib.core import clock
from chalicelib.core.config import settings
from chalicelib.core.init_phase import run_in_init_phase
from chalicelib.observability import logs
from chalicelib.observability.logs import error_log, event_log, log_unhandled_errors
from chalicelib.services import emails, report_emails, reports

_SHUTDOWN_MARGIN_MS = 30_000

logs.configure()
run_in_init_phase(dynamodb.prepare)
blueprint = Blueprint(__name__)
_config = idempotency.config_for("[report, to]")


class ReportEmailError(RuntimeError):
    """Not all admins received the daily report."""


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="daily_report")
@log_unhandled_errors
def daily_report(event: CloudWatchEvent) -> dict[str, list[str]]:
    """Store the report of each completed day that has none, and email the latest to the admins."""
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
        _config.register_lambda_context(context)
        _email_latest_report(context)
    return {"stored": stored}


def _email_latest_report(context: Any) -> None:
    pending = report_emails.pending()
    if pending is None:
        return
    report, admins = pending
    failed = 0
    for admin in admins:
        try:
            if context.get_remaining_time_in_millis() < 1000 * emails.MAX_SEND_SECONDS:
                raise ReportEmailError("The remaining time does not suffice for an email.")
            _send_once(email={"report": str(report.date), "to": str(admin.email)})
        except Exception:
            error_log.exception("Report email failed", admin=admin.id)
            failed += 1
    if failed:
        raise ReportEmailError(f"{failed} of {len(admins)} admins have not received it. The next run retries.")
    report_emails.mark_sent(report, clock.now())


@idempotency.idempotent("email", _config, name="report-mail")  # changing the name would send all reports again
def _send_once(email: dict[str, str]) -> None:
    report_emails.send(email["report"], email["to"])
