"""Independent calls to AWS at the same time, so that a request waits for the slowest one and not for all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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


@contextmanager
def started(call: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Run a call at the same time as the body, which gets a function that returns its result or raises its exception.

    The call has ended when the body is left: Lambda would stop it between two invocations. Its exception is lost if
    the body does not ask for the result.

    Raises:
        RuntimeError: The call makes concurrent calls.
    """
    future = _submit(call)
    try:
        yield future.result
    finally:
        future.exception()  # waits


def _submit(call: Callable[[], Result]) -> Any:
    context = copy_context()
    context.run(_uses_pool.set, True)
    return _pool().submit(context.run, call)


@cache
def _pool() -> Any:
    """Return the threads of this process: to start new ones takes a tenth of the CPU time of an instructor's list."""
    from concurrent.futures import ThreadPoolExecutor  # late, for short cold starts

    return ThreadPoolExecutor(MAX_THREADS)
