"""Independent calls to AWS at the same time, so that a request waits for the slowest one and not for all."""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

MAX_THREADS = 16  # twice as many as one request needs: each reads at most 8 partitions at the same time

Result = TypeVar("Result")


def concurrently(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the results of calls in their order; each runs in the context of this one, and the first in its thread.

    The calls make no further ones by this function: all of them share its threads.

    Raises:
        Exception: That of the first call that failed, once all have ended.
    """
    first, *others = calls
    futures = [_pool().submit(copy_context().run, call) for call in others]
    try:
        result = first()
    finally:
        for future in futures:
            future.exception()  # waits
    return [result, *(future.result() for future in futures)]


@cache
def _pool() -> Any:
    """Return the threads of this process: to start new ones takes a tenth of the CPU time of an instructor's list."""
    from concurrent.futures import ThreadPoolExecutor  # late, for short cold starts

    return ThreadPoolExecutor(MAX_THREADS)
