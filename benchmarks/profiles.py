"""The packages and functions that take the CPU time of a request, by their own time.

    .venv/bin/python -m benchmarks.profiles

A timer interrupts the process after each millisecond of CPU time, and counts the function that runs, so that no call
costs more than without it. C code counts for the function that calls it. The requests are those of
`benchmarks.request_cpu`. Concurrent calls run one after the other, because the timer sees one thread.
"""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.measuring import markdown_table
from benchmarks.request_cpu import fixture_cases
from benchmarks.stage import running_stage
from chalicelib.core import concurrency

CPU_SECONDS = 6.0
FUNCTIONS = 5
PATHS = (
    "course, hit",
    "list of 20 courses, hit",
    "list of 20 courses, hit, with a token",
    "instructor's list of 20 courses",
    "own profile",
)


class _SameThread:
    """An executor that runs a call at once."""

    def submit(self, call: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(call(*arguments))
        return future


def main() -> None:
    """Print a row for each path, or for those named."""
    with running_stage():
        concurrency._pool = _SameThread  # type: ignore[assignment]
        calls = {case.name: case.call for case in fixture_cases()}
        rows = [[name, *_shares(calls[name])] for name in sys.argv[1:] or PATHS]
    print(markdown_table(["Request", "Packages", "Functions"], rows))


def _shares(call: Callable[[], object]) -> tuple[str, str]:
    packages: Counter[str] = Counter()
    functions: Counter[str] = Counter()

    def count(number: int, frame: FrameType | None) -> None:
        assert frame
        file = Path(frame.f_code.co_filename)
        packages[_package(file.parts)] += 1
        functions[f"{file.stem}.{frame.f_code.co_qualname}"] += 1

    call()
    signal.signal(signal.SIGPROF, count)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    end = time.process_time() + CPU_SECONDS
    while time.process_time() < end:
        call()
    signal.setitimer(signal.ITIMER_PROF, 0)
    return _top(packages), _top(functions)


def _top(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count / counts.total():.0%}" for name, count in counts.most_common(FUNCTIONS))


def _package(parts: tuple[str, ...]) -> str:
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return "own code" if "chalicelib" in parts else "standard library"


if __name__ == "__main__":
    main()
