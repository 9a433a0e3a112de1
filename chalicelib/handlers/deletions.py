"""The queue's door for deletions: what hangs on a deleted course or user goes, some time after it."""

import json
from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import logs, metrics, queue
from chalicelib.services import deletions
from chalicelib.settings import settings

WORK = {queue.COURSE: deletions.of_course, queue.USER: deletions.of_user}
_RESERVE_MS = 30_000

logs.configure()
blueprint = Blueprint(__name__)


@blueprint.on_sqs_message(queue=settings().resource(queue.DELETIONS), batch_size=1)
@logs.reporting_errors
def delete_what_hangs_on(event: SQSEvent) -> None:
    """Remove what hangs on one deleted thing; what time does not suffice for is asked for again."""
    context: Any = event.context
    [record] = event
    message = json.loads(record.body)
    logs.request_id.set(message["request_id"])
    removed = 0
    for count in WORK[message["kind"]](message["id"]):
        removed += count
        if context.get_remaining_time_in_millis() < _RESERVE_MS:
            if not queue.send_deletion(message["kind"], message["id"]):
                raise RuntimeError("There is more to delete, and the queue did not take it: this message comes again.")
            break
    extra = {"kind": message["kind"], "id": message["id"], "removed": removed}
    metrics.flush()
    logs.events.info("Removed what hung on a deleted %s", message["kind"], extra={"extra": extra})
