"""SQS worker that gives free places to waiting students. Idempotent; it requeues what its time does not suffice for."""

import json
from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib.adapters import dynamodb, sqs
from chalicelib.core.config import settings
from chalicelib.core.init_phase import run_in_init_phase
from chalicelib.handlers.workers import requeueing
from chalicelib.observability import logs, metrics
from chalicelib.observability.logs import event_log, log_unhandled_errors
from chalicelib.services import place_settlement as service

MAX_CONCURRENCY = 2  # the least that SQS allows: while one settles a long waitlist, the other one does the rest

logs.configure()
run_in_init_phase(dynamodb.prepare)
blueprint = Blueprint(__name__)


@blueprint.on_sqs_message(
    queue=settings().resource_name(sqs.WAITLIST),  # Chalice needs the name when it loads the module
    batch_size=1,
    maximum_concurrency=MAX_CONCURRENCY,
    name="place_settlement",
)
@log_unhandled_errors
def place_settlement(event: SQSEvent) -> None:
    """Settle the place numbers of one course, as many as the remaining time allows."""
    context: Any = event.context
    [record] = event
    message = json.loads(record.body)
    course_id = message["course"]
    logs.request_id.set(message["request_id"])
    steps = service.settle(course_id, int(message["void_through"]))
    enrolled, is_complete = requeueing.run(steps, context, sqs.WAITLIST, message)
    metrics.increment("StudentsPromoted", enrolled)
    metrics.flush()
    event_log.info("Places settled", course=course_id, enrolled=enrolled, complete=is_complete)
