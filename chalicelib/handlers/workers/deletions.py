"""The queue's door for deletions: what hangs on something that ended goes, some time after it."""

import json
from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.config import settings
from chalicelib.observability import logs, metrics
from chalicelib.services import cascade_deletion

WORKERS = 2  # at once: deletions can wait, and all write to the same day of the ledger
_RESERVE_MS = 20_000

logs.configure()
blueprint = Blueprint(__name__)


class MoreToDelete(RuntimeError):
    """Time ran out, and the queue did not take the request for the rest: this message has to come again."""


@blueprint.on_sqs_message(
    queue=settings().resource(sqs.DELETIONS),
    batch_size=1,
    maximum_concurrency=WORKERS,
    name="cascade_deletions",
)
@logs.reporting_errors
def cascade_deletions(event: SQSEvent) -> None:
    """Remove what hangs on one thing that ended; what time does not suffice for is asked for again."""
    context: Any = event.context
    [record] = event
    message = json.loads(record.body)
    logs.request_id.set(message["request_id"])
    removed, done = 0, True
    try:
        for count in cascade_deletion.sweep(message["kind"], message["id"], clock.now()):
            removed += count
            if context.get_remaining_time_in_millis() < _RESERVE_MS:
                done = False
                if not sqs.send(sqs.DELETIONS, message, DelaySeconds=0):
                    raise MoreToDelete(message["id"])
                break
    except cascade_deletion.NotEnded as error:
        logs.errors.error("Asked to remove what hangs on something that is there", extra={"extra": {"why": str(error)}})
    metrics.count("RowsRemoved", removed)
    metrics.flush()
    extra = {"kind": message["kind"], "id": message["id"], "removed": removed, "done": done}
    logs.events.info("Removed what hung on a deleted %s", message["kind"], extra={"extra": extra})
