"""Faults of the email worker and its queue, as rules of the proxies, and the duplicates that each allows."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable

from tests.fault_injection.proxy import Call, Fault, Rule
from tests.fault_injection.rules import every

LONGEST = 900
OUTAGE_HOURS = 5
MAX_HOURS = 4
"""The cleanup requeues emails every EMAIL_REQUEUE_INTERVAL, and runs every hour."""
LAG_HOURS = 1.2
"""Longer than until the first cleanup that looks for an email."""
SEND, RECORD = ("SendRawEmail", ""), ("UpdateItem", "idempotency")
_ATTEMPTS = 3  # of the client of the idempotency records, at each write
_BEFORE, _AFTER = Fault.KILLED_BEFORE, Fault.KILLED_AFTER

Met = Iterable[tuple[Call, Fault]]
Step = tuple[str, str]
"""An operation of AWS, and the table of a call to DynamoDB."""


class Kills:
    """A rule that kills the worker before and after each of its steps, ``rounds`` times each."""

    def __init__(self, steps: list[Step], rounds: int, period: int) -> None:
        self._plans = [(step, fault) for _ in range(rounds) for fault in (_BEFORE, _AFTER) for step in steps]
        self._due = every(period)

    def __call__(self, call: Call) -> Fault | None:
        if not self._plans or self._plans[-1][0] != step_of(call) or not next(self._due):
            return None
        return self._plans.pop()[1]

    def check_done(self) -> None:
        """Check that all kills took place."""
        assert not self._plans, f"{len(self._plans)} kills did not take place"


def step_of(call: Call) -> Step:
    """Return the step of the worker that a call is."""
    return call.operation, call.table


def refuse_half(call: Call) -> Fault | None:
    """Reject half of the messages. The same message is always rejected."""
    is_unlucky = zlib.crc32(call.body.get("MessageBody", "").encode()) % 2
    return Fault.REJECTED if call.operation == "SendMessage" and is_unlucky else None


def on_send(fault_for: Callable[[str], Fault | None]) -> Rule:
    """Return a rule for the calls of SES, by the address of the recipient."""
    return lambda call: fault_for(call.body["Destinations.member.1"]) if step_of(call) == SEND else None


def count_unrecorded_kills(met: Met) -> int:
    """Return how often the worker was killed after SES accepted an email and before that was recorded."""
    unrecorded = {(SEND, _AFTER), (RECORD, _BEFORE)}
    return sum((step_of(call), fault) in unrecorded for call, fault in met)


def count_refused_records(met: Met) -> int:
    """Return how many records of an accepted email were rejected at each attempt."""
    refused = Counter(json.dumps(call.body) for call, _ in met if step_of(call) == RECORD)
    return sum(number >= _ATTEMPTS for number in refused.values())
