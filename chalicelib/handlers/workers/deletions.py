"""SQS worker for cascade deletions. Idempotent and resumable: it requeues what its time does not suffice for."""

import json
from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib.adapters import dynamodb, sqs
from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock
from chalicelib.core.config import settings
from chalicelib.core.init_phase import run_in_init_phase
from chalicelib.handlers.workers import requeueing
from chalicelib.observability import logs, metrics
from chalicelib.observability.logs import error_log, event_log, log_unhandled_errors
from chalicelib.services import cascade_deletion

MAX_CONCURRENCY = 2  # deletions are not urgent, and all write to the same day of the ledger

logs.configure()
run_in_init_phase(dynamodb.prepare)
blueprint = Blueprint(__name__)


@blueprint.on_sqs_message(
    queue=settings().resource_name(sqs.DELETIONS),  # Chalice needs the name when it loads the module
    batch_size=1,
    maximum_concurrency=MAX_CONCURRENCY,
    name="cascade_deletions",
)
@log_unhandled_errors
def cascade_deletions(event: SQSEvent) -> None:
    """Delete the dependents of one entity, as many as the remaining time allows."""
    context: Any = event.context
    [record] = event
    message = json.loads(record.body)
    target, entity_id = CascadeTarget(message["target"]), message["id"]
    logs.request_id.set(message["request_id"])
    deleted, is_complete = 0, True
    try:
        steps = cascade_deletion.delete_dependents(target, entity_id, clock.now())
        deleted, is_complete = requeueing.run(steps, context, sqs.DELETIONS, message)
    except cascade_deletion.TargetStillExistsError as error:
        error_log.error("Refusing cascade deletion: target still exists", target=target, id=entity_id, why=str(error))
    metrics.increment("RowsDeleted", deleted)
    metrics.flush()
    event_log.info("Cascade deletion finished", target=target, id=entity_id, deleted=deleted, complete=is_complete)
