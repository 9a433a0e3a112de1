"""The clock's doors."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib.adapters import idempotency
from chalicelib.core import clock
from chalicelib.core.config import settings
from chalicelib.observability import logs, metrics
from chalicelib.services import cleanup, emails, report_emails, reports

_RESERVE_MS = 30_000

logs.configure()
blueprint = Blueprint(__name__)
_config = idempotency.by("[report, to]")


class ReportNotMailed(RuntimeError):
    """Some admins did not get the daily report."""


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="daily_report")
@logs.reporting_errors
def daily_report(event: CloudWatchEvent) -> dict[str, list[str]]:
    """Store the report of every whole day that has none; hourly, so that a missed hour mends itself."""
    context: Any = event.context
    logs.request_id.set(context.aws_request_id)
    stored = [report.date for report in reports.fill(clock.now())]
    if settings().mail_reports:
        _config.register_lambda_context(context)
        _mail_newest_report(context)
    return {"stored": stored}


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="cleanup")
@logs.reporting_errors
def run_cleanup(event: CloudWatchEvent) -> dict[str, int]:
    """Ask again for what was owed and may have been lost; what time does not suffice for waits for the next hour."""
    context: Any = event.context
    logs.request_id.set(context.aws_request_id)
    try:
        return cleanup.run(clock.now(), go_on=lambda *_: context.get_remaining_time_in_millis() > _RESERVE_MS)
    finally:
        metrics.flush()


def _mail_newest_report(context: Any) -> None:
    due = report_emails.due()
    if due is None:
        return
    report, admins = due
    failed = 0
    for admin in admins:
        try:
            if context.get_remaining_time_in_millis() < 1000 * emails.LONGEST_SECONDS:
                raise ReportNotMailed("There is too little time left to begin a mail.")
            _mail_once(mail={"report": str(report.date), "to": str(admin.email)})
        except Exception:
            logs.errors.exception("A report's mail failed", extra={"extra": {"admin": admin.id}})
            failed += 1
    if failed:
        raise ReportNotMailed(f"{failed} of {len(admins)} admins have no mail yet; the next hour tries again.")
    report_emails.note_sent(report, clock.now())


@idempotency.done("mail", _config, name="report-mail")
def _mail_once(mail: dict[str, str]) -> None:
    report_emails.send(mail["report"], mail["to"])
