"""Independent calls to AWS at the same time, so that a request waits for the slowest one and not for all."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from functools import cache
from typing import Any, TypeVar

MAX_THREADS = 8  # with the thread of the request, fewer than the connections that the client of DynamoDB keeps

Result = TypeVar("Result")

_uses_pool: ContextVar[bool] = ContextVar("uses_pool", default=False)


def concurrently(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the results of calls in their order; each runs in the context of this one, and the first in its thread.

    Raises:
        RuntimeError: A concurrent call makes concurrent calls. It could wait forever for a thread.
        Exception: That of the first call that failed, once all have ended.
    """
    if _uses_pool.get():
        raise RuntimeError("A concurrent call makes concurrent calls.")
    first, *others = calls
    futures = [_submit(call) for call in others]
    try:
        result = first()
    finally:
        for future in futures:
            future.exception()  # waits
    return [result, *(future.result() for future in futures)]


def _submit(call: Callable[[], Result]) -> Any:
    context = copy_context()
    context.run(_uses_pool.set, True)
    return _pool().submit(context.run, call)


@cache
def _pool() -> Any:
    """Return the threads of this process: to start new ones takes a tenth of the CPU time of an instructor's list."""
    from concurrent.futures import ThreadPoolExecutor  # late, for short cold starts

    return ThreadPoolExecutor(MAX_THREADS)
