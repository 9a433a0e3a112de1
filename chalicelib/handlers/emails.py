"""The queue's door: enrollments whose email is owed, each sent once however often its message comes."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from chalice.app import Blueprint, SQSEvent

from chalicelib import logs, queue
from chalicelib.services import emails
from chalicelib.settings import settings

BATCH_SIZE = 10
REMEMBERED_SECONDS = 30 * 24 * 3600  # beyond the 14 days that the dead-letter queue keeps a message

logs.configure()
blueprint = Blueprint(__name__)

_processor = BatchProcessor(event_type=EventType.SQS)
_records = DynamoDBPersistenceLayer(table_name=settings().resource("idempotency"))
_config = IdempotencyConfig(
    event_key_jmespath="enrollment",
    raise_on_no_idempotency_key=True,
    expires_after_seconds=REMEMBERED_SECONDS,
    hash_function="sha256",
)


@blueprint.on_sqs_message(queue=settings().resource(queue.ENROLLMENT_EMAILS), batch_size=BATCH_SIZE)
def enrollment_emails(event: SQSEvent) -> dict[str, Any]:
    """Send what the batch asks for; only what failed comes again."""
    context: Any = event.context
    _config.register_lambda_context(context)
    return dict(
        process_partial_response(event=event.to_dict(), record_handler=_handle, processor=_processor, context=context)
    )


def _handle(record: SQSRecord) -> None:
    message = record.json_body
    logs.request_id.set(message["request_id"])
    try:
        _send_once(message=message)
        # Not within what is done once: if only the mark fails, the mail must not be sent again.
        emails.mark_enrollment_email_sent(message["enrollment"])
    except Exception:
        logs.errors.exception("An enrollment's email failed", extra={"extra": {"message_id": record.message_id}})
        raise


@idempotent_function(data_keyword_argument="message", config=_config, persistence_store=_records)  # type: ignore[untyped-decorator]
def _send_once(message: dict[str, str]) -> None:
    emails.send_enrollment_email(message["enrollment"])
