"""Scheduled function: the cleanup. It runs every hour, so that a missed run repairs itself."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib.adapters import dynamodb
from chalicelib.core import clock
from chalicelib.core.init_phase import run_in_init_phase
from chalicelib.observability import logs, metrics
from chalicelib.observability.logs import log_unhandled_errors
from chalicelib.services import cleanup as service

_SHUTDOWN_MARGIN_MS = 30_000

logs.configure()
run_in_init_phase(dynamodb.prepare)
blueprint = Blueprint(__name__)


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="cleanup")
@log_unhandled_errors
def cleanup(event: CloudWatchEvent) -> dict[str, int]:
    """Requeue pending work whose messages may have been lost, as much as the remaining time allows."""
    context: Any = event.context
    logs.request_id.set(context.aws_request_id)

    def should_continue(step: str, count: int) -> bool:
        return bool(context.get_remaining_time_in_millis() > _SHUTDOWN_MARGIN_MS)

    try:
        return service.run(clock.now(), should_continue)
    finally:
        metrics.flush()
