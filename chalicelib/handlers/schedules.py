"""The clock's doors."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import clock, logs
from chalicelib.services import reports

logs.configure()
blueprint = Blueprint(__name__)


@blueprint.schedule(Rate(1, unit=Rate.HOURS))
@logs.reporting_errors
def daily_report(event: CloudWatchEvent) -> dict[str, list[str]]:
    """Store the report of every whole day that has none; hourly, so that a missed hour mends itself."""
    context: Any = event.context
    logs.request_id.set(context.aws_request_id)
    return {"stored": [report.date for report in reports.fill(clock.now())]}
