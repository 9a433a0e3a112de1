"""Work of a queue in steps: what the time of one invocation does not suffice for is requeued."""

from collections.abc import Generator
from contextlib import closing
from typing import Any

from chalicelib.adapters import sqs
from chalicelib.adapters.sqs import Message

_SHUTDOWN_MARGIN_MS = 20_000


class RequeueFailedError(RuntimeError):
    """The queue did not accept the message for the remaining work: SQS has to deliver this one again."""


def run(steps: Generator[int, None, None], context: Any, queue: str, message: Message) -> tuple[int, bool]:
    """Run the steps of a message as far as the remaining time allows, and requeue the message for the rest.

    Return the sum of the numbers that the steps yield, and whether all steps were run.

    Raises:
        RequeueFailedError: The queue did not accept the message.
    """
    total = 0
    with closing(steps):  # it writes a batch that it has begun
        for number in steps:
            total += number
            if context.get_remaining_time_in_millis() < _SHUTDOWN_MARGIN_MS:
                if not sqs.send(queue, message, DelaySeconds=0):
                    raise RequeueFailedError(f"{queue}: {message}")
                return total, False
    return total, True
