"""SQS worker for all emails. Idempotent: an email is sent once, however often its message is delivered.

For each message: (1) check the remaining time; (2) the idempotency record of the email: done means skip, in progress
means fail; at the same time, read what the email is about, and its recipient; (3) send through SES; (4) complete the
record; (5) clear the pending email. A process that dies between 3 and 4 is the one window in which an email is sent
twice. Tickets are issued between 2 and 3: of two emails for one message, the later one has the valid link.

After its last delivery, a message becomes a dead letter only if the email is at fault: SES rejects it, or the message
is malformed. Otherwise, such as during an outage, the email stays pending, and the cleanup requeues it.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from chalice.app import Blueprint, SQSEvent

from chalicelib.adapters import dynamodb, idempotency, ses, sqs
from chalicelib.core import clock, concurrency
from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.init_phase import run_in_init_phase
from chalicelib.core.retry_policy import MAX_RECEIVE_COUNT
from chalicelib.observability import logs, metrics
from chalicelib.observability.logs import error_log
from chalicelib.services import emails as service

BATCH_SIZE = 5
MAX_CONCURRENCY = 5  # SES allows an account some 10 to 100 emails a second, and throttles beyond

# Of what an email is about, before it is read again: the record can be written late, and users unsubscribe meanwhile.
_MAX_AGE_SECONDS = 1

logs.configure()
run_in_init_phase(dynamodb.prepare)
blueprint = Blueprint(__name__)

# A batch that failed as a whole gets the same response as any other: the list of its failed messages.
_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
_config = idempotency.config_for("id")


class InsufficientTimeError(RuntimeError):
    """The remaining time does not suffice for an email: a timeout while sending could send it twice."""


@blueprint.on_sqs_message(
    queue=settings().resource_name(sqs.EMAILS),  # Chalice needs the name when it loads the module
    batch_size=BATCH_SIZE,
    maximum_concurrency=MAX_CONCURRENCY,
    name="emails",
)
def emails(event: SQSEvent) -> dict[str, Any]:
    """Process a batch, and return its failed messages to the queue."""
    context: Any = event.context
    _config.register_lambda_context(context)
    response = process_partial_response(
        event=event.to_dict(), record_handler=_process_record, processor=_processor, context=context
    )
    logs.request_id.set(context.aws_request_id)  # the metrics belong to no single request
    metrics.flush()
    return dict(response)


def _process_record(record: SQSRecord, lambda_context: Any) -> None:
    kind, message = _parse(record)
    logs.request_id.set(message["request_id"])
    email_id = message["id"]
    try:
        if lambda_context.get_remaining_time_in_millis() < 1000 * service.MAX_SEND_SECONDS:
            raise InsufficientTimeError
        find, started_at = partial(service.find, kind, email_id, message["request_id"]), time.monotonic()
        with concurrency.started(find) as result:
            _send_once(
                message=message,
                kind=kind,
                find=lambda: result() if time.monotonic() - started_at < _MAX_AGE_SECONDS else find(),
            )
        # Outside of the idempotent function: when only this write fails, the email must not be sent again.
        service.mark_sent(kind, email_id)
    except ses.RejectedEmail as error:
        if _log_failure(record, message):
            service.mark_failed(kind, email_id, error.code, clock.now())
            metrics.increment("EmailsGivenUp")
        raise
    except Exception:
        if not _log_failure(record, message) or not service.is_recorded(kind, email_id):
            raise
        metrics.increment("EmailsDeferred")


def _parse(record: SQSRecord) -> tuple[EmailKind, dict[str, str]]:
    try:
        message = dict(record.json_body)
        return EmailKind(message["kind"]), {name: message[name] for name in ("kind", "id", "request_id")}
    except (KeyError, TypeError, ValueError):
        error_log.exception("Malformed message", message_id=record.message_id)
        raise


def _log_failure(record: SQSRecord, message: dict[str, str]) -> bool:
    """Log the current exception, and return whether this was the last delivery of the message."""
    receive_count = int(record.attributes.approximate_receive_count)
    error_log.exception(
        "Email failed",
        message_id=record.message_id,
        kind=message["kind"],
        email=message["id"],
        receive_count=receive_count,
    )
    metrics.increment("EmailsFailed")
    return receive_count >= MAX_RECEIVE_COUNT


@idempotency.idempotent("message", _config, name="email")
def _send_once(message: dict[str, str], kind: EmailKind, find: Callable[[], service.Found | None]) -> None:
    service.send(kind, message["id"], find())
