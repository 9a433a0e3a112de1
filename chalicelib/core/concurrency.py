"""Independent calls to AWS at the same time, so that a request waits for the slowest one and not for all."""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TypeVar

Result = TypeVar("Result")


def concurrently(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the results of calls in their order; each runs in the context of this one. One call needs no thread.

    Raises:
        Exception: That of the first call that failed, once all have ended.
    """
    if len(calls) == 1:
        return [calls[0]()]
    from concurrent.futures import ThreadPoolExecutor  # late, for short cold starts

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(copy_context().run, call) for call in calls]
    return [future.result() for future in futures]
