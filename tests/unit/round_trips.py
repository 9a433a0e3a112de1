"""Counts the sequential round trips to AWS: calls that are made at the same time count as one.

Threads run in an order that changes, so a logical clock counts instead of a stopwatch: a call takes one tick, and
concurrent calls begin at the tick at which they were submitted. That they do run at the same time is tested in
core/test_concurrency.py.
"""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient

from chalicelib.core import concurrency

COUNTED_SERVICES = {"dynamodb", "sqs", "ses"}
ONCE_A_SECOND = "eduflow-cache-state-test"  # each process reads this row of the cache's state once a second


class RoundTrips:
    """The logical clock of calls to AWS, and the calls: tick, operation and tables."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        self.calls: list[tuple[int, str, tuple[str, ...]]] = []
        make, trips = BaseClient._make_api_call, self

        def count(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            is_counted = client.meta.service_model.service_name in COUNTED_SERVICES
            if is_counted and parameters.get("TableName") != ONCE_A_SECOND:
                trips.now += 1
                trips.calls.append((trips.now, operation, _tables_of(parameters)))
            return make(client, operation, parameters)

        monkeypatch.setattr(BaseClient, "_make_api_call", count)
        monkeypatch.setattr(concurrency, "_pool", lambda: self)

    def of(self, operation: Callable[[], object]) -> int:
        """Return the round trips of an operation."""
        self.now = 0
        self.calls.clear()
        operation()
        return self.now

    def submit(self, call: Callable[..., Any], *arguments: Any) -> "_Task":
        """Run a concurrent call, as the method of an executor."""
        submitted_at = self.now
        task = _Task(self, call, arguments)
        self.now = submitted_at
        return task


def _tables_of(parameters: dict[str, Any]) -> tuple[str, ...]:
    if "TableName" in parameters:
        return (parameters["TableName"],)
    writes = [write for item in parameters.get("TransactItems", []) for write in item.values()]
    return (*parameters.get("RequestItems", {}), *(write["TableName"] for write in writes))


class _Task:
    def __init__(self, trips: RoundTrips, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._value = call(*arguments)
        self._trips, self._ended_at = trips, trips.now

    def exception(self) -> None:
        """Wait for the end, as the method of a future."""
        self._trips.now = max(self._trips.now, self._ended_at)

    def result(self) -> Any:
        """Wait for the end, and return the result."""
        self.exception()
        return self._value
