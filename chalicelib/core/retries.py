"""Waits for others: retries with jittered backoff, within a budget.

A request waits at most REQUEST_BUDGET_SECONDS in all for concurrent writes, throttled tables and attempts in progress.
Then the response is 429, and the client waits without occupying a Lambda. Work without a client, such as that of a
queue, may wait OPERATION_BUDGET_SECONDS for each operation.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

REQUEST_BUDGET_SECONDS = 2  # with the second that a login may wait, no request waits longer than 3
OPERATION_BUDGET_SECONDS = 15
_BASE_SECONDS = 0.02
_CAP_SECONDS = 0.5


class WaitBudget:
    """The time that may be spent on waits. Waits of concurrent calls at the same time count once."""

    def __init__(self, seconds: float) -> None:
        self._remaining_seconds = seconds
        self._counted_until = 0.0  # by the monotonic clock
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> bool:
        """Sleep, or return False if the budget does not suffice."""
        with self._lock:
            now = time.monotonic()
            uncounted = now + seconds - max(now, self._counted_until)
            if uncounted > self._remaining_seconds:
                return False
            self._remaining_seconds -= max(0.0, uncounted)
            self._counted_until = max(now + seconds, self._counted_until)
        time.sleep(seconds)
        return True


_request_budget: ContextVar[WaitBudget | None] = ContextVar("request_budget", default=None)


@contextmanager
def request_budget() -> Iterator[None]:
    """Let all operations of a request share one budget."""
    token = _request_budget.set(WaitBudget(REQUEST_BUDGET_SECONDS))
    try:
        yield
    finally:
        _request_budget.reset(token)


class Backoff:
    """The waits between the attempts of one operation: random, and longer each time (full jitter).

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """

    def __init__(self, cap_seconds: float = _CAP_SECONDS, budget: WaitBudget | None = None) -> None:
        self._budget = budget or _request_budget.get() or WaitBudget(OPERATION_BUDGET_SECONDS)
        self._cap_seconds = cap_seconds
        self._attempts = 0

    def wait(self, error: Exception) -> None:
        """Wait before the next attempt.

        Raises:
            error: The budget is used up.
        """
        longest = min(self._cap_seconds, _BASE_SECONDS * 2**self._attempts)
        self._attempts += 1
        if not self._budget.sleep(random.uniform(0, longest)):
            raise error
