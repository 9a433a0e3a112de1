"""CPU times in rounds, calls to DynamoDB, and tables in Markdown."""

import contextlib
import copy
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chalicelib.adapters.dynamodb import connection

ROUNDS = 25
_SECONDS_PER_ROUND = 0.025  # of each call

DynamoDbCall = tuple[str, dict[str, Any]]  # operation and parameters
Calls = Mapping[str, Callable[[], object]]


def cpu_milliseconds(calls: Calls) -> dict[str, list[float]]:
    """Return the CPU time of each call in this process, in each round.

    All calls are measured in each round, so that a slower processor or a busy machine affects all alike.
    """
    repeats = {}
    for name, call in calls.items():
        call()
        call()
        repeats[name] = max(2, int(_SECONDS_PER_ROUND / max(1e-6, _cpu_seconds(call, 5))))
    measured: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()  # what the calls before it removed from a cache is there again
            measured[name].append(1000 * _cpu_seconds(call, repeats[name]))
    return measured


def _cpu_seconds(call: Callable[[], Any], count: int) -> float:
    started = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - started) / count


def median_ratio(values: Sequence[float], floors: Sequence[float]) -> float:
    """Return the median of the ratios of the rounds."""
    return statistics.median(value / floor for value, floor in zip(values, floors, strict=True))


@contextlib.contextmanager
def recorded_calls() -> Iterator[list[DynamoDbCall]]:
    """Yield a list of the calls to DynamoDB, with their parameters, as they are made by this process."""
    calls: list[DynamoDbCall] = []
    events = connection().client.meta.events

    def record(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, copy.deepcopy(params)))

    events.register("provide-client-params.dynamodb", record)
    try:
        yield calls
    finally:
        events.unregister("provide-client-params.dynamodb", record)


def is_cache_state(call: DynamoDbCall) -> bool:
    """Return whether a call reads if the cache is in use: each process does that once a second."""
    return "-cache-state-" in str(call[1].get("TableName"))


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table, whose first column is text and whose others are aligned to the right."""
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)
