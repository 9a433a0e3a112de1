"""Which calls have a fault: the rules of all runs are made of these."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

from tests.fault_injection.proxy import Call, Fault, Rule

Selection = Callable[[Call], bool]

READS = ("GetItem", "Query", "BatchGetItem")
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems")
LOOP_LIMIT = 16
"""https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html"""


def healthy(call: Call) -> Fault | None:
    """Inject no fault."""
    return None


def always(fault: Fault, selected: Selection) -> Rule:
    """Inject a fault into all selected calls."""
    return lambda call: fault if selected(call) else None


def some(each: int, selected: Selection, *faults: Fault) -> Rule:
    """Inject these faults in turn, into each n-th of the selected calls."""
    due, turns = every(each), itertools.cycle(faults)
    return lambda call: next(turns) if selected(call) and next(due) else None


def calls(*operations: str) -> Selection:
    """Select calls by their operation. The state of the cache is no part of any run."""
    return lambda call: call.operation in operations and call.table != "cache-state"


def of_services(*services: str) -> Selection:
    """Select all calls of services."""
    return lambda call: call.service in services


def of_table(table: str) -> Selection:
    """Select calls that use a table, with its indexes, alone or in a transaction or batch."""
    return lambda call: table in call.tables


def of_indexes(*indexes: str) -> Selection:
    """Select queries of indexes that are not consistent, of all by default."""
    return lambda call: call.index in indexes if indexes else bool(call.index)


def is_message(call: Call) -> bool:
    """Select messages that are sent to queues."""
    return call.operation in ("SendMessage", "SendMessageBatch")


# DynamoDB shows a write in its global secondary indexes later than in the table: see `School.lag`.
indexes_lag: Rule = always(Fault.STALE, of_indexes())
# SES and SQS are down: nothing is done or answered.
ses_and_sqs_down: Rule = always(Fault.UNREACHABLE, of_services("ses", "sqs"))


class LoopDetection:
    """A rule that ends chains of messages that a worker sends to its own queue, as Lambda does by default."""

    def __init__(self, limit: int = LOOP_LIMIT) -> None:
        self._limit = limit
        self._rounds = Counter[str]()

    def __call__(self, call: Call) -> Fault | None:
        if call.operation != "SendMessage":
            return None
        message = call.body["MessageBody"]  # that of the whole chain
        self._rounds[message] += 1
        return Fault.CUT if self._rounds[message] % self._limit == 0 else None


def every(number: int) -> Iterator[bool]:
    """Return an iterator that is True at each n-th step."""
    while True:
        yield from [*[False] * (number - 1), True]
