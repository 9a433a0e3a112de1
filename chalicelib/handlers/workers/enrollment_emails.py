"""The queue's door: enrollments whose email is owed, each sent once however often its message comes."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from chalice.app import Blueprint, SQSEvent

from chalicelib.adapters import idempotency, sqs
from chalicelib.core import clock
from chalicelib.core.config import settings
from chalicelib.observability import logs, metrics
from chalicelib.services import emails

BATCH_SIZE = 5
WORKERS = 5  # at once: SES lets an account send some 10 to 100 mails a second, and refuses what is beyond

logs.configure()
blueprint = Blueprint(__name__)

# A batch that failed as a whole is answered like any other: as the list of its messages.
_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
_config = idempotency.by("enrollment")


class TooLate(RuntimeError):
    """Too little time is left to begin: killed in the middle, an email could be sent twice."""


@blueprint.on_sqs_message(
    queue=settings().resource(sqs.ENROLLMENT_EMAILS),
    batch_size=BATCH_SIZE,
    maximum_concurrency=WORKERS,
    name="enrollment_emails",
)
def enrollment_emails(event: SQSEvent) -> dict[str, Any]:
    """Send what the batch asks for; only what failed comes again."""
    context: Any = event.context
    _config.register_lambda_context(context)
    answer = process_partial_response(
        event=event.to_dict(), record_handler=_handle, processor=_processor, context=context
    )
    logs.request_id.set(context.aws_request_id)  # the counts are of no one request
    metrics.flush()
    return dict(answer)


def _handle(record: SQSRecord, lambda_context: Any) -> None:
    message: dict[str, str] = {}
    try:
        message = dict(record.json_body)
        logs.request_id.set(message["request_id"])
        if lambda_context.get_remaining_time_in_millis() < 1000 * emails.LONGEST_SECONDS:
            raise TooLate
        _send_once(message=message)
        # Not within what is done once: if only the mark fails, the mail must not be sent again.
        emails.mark_enrollment_email_sent(message["enrollment"])
        metrics.count("EmailsDone")
    except Exception as error:
        receives = int(record.attributes.approximate_receive_count)
        extra = {"message_id": record.message_id, "enrollment": message.get("enrollment"), "receives": receives}
        logs.errors.exception("An enrollment's email failed", extra={"extra": extra})
        metrics.count("EmailsFailed")
        if receives >= sqs.MAX_RECEIVES and not isinstance(error, TooLate):  # never tried: the cleanup asks again
            emails.give_up(message.get("enrollment", ""), clock.now())
            metrics.count("EmailsGivenUp")
        raise


@idempotency.done("message", _config, name="enrollment-email")
def _send_once(message: dict[str, str]) -> None:
    emails.send_enrollment_email(message["enrollment"])
