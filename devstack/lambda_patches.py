"""Patches of ministack: Lambda with bounded concurrency, logs during invocations, reuse after errors, fast starts."""

import hashlib
import os
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

MAX_ENVIRONMENTS = 8  # concurrently, each a Python process. Further invocations wait; AWS would scale out
_QUIET_SECONDS = (0.005, 0.002, 0.25)
_CHANGE_SECONDS = 0.02
_ending = threading.Event()
_PLATFORM = ("START RequestId:", "END RequestId:", "REPORT RequestId:")


def patch_ministack() -> None:
    """Patch ministack in this process."""
    _keep_after_exceptions()
    # ministack waits 50 ms for the log of a function that logs nothing.
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = _QUIET_SECONDS
    # ministack lets each change of a function last for 0.5 s, one after the other: a second deploy makes twelve.
    lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = _CHANGE_SECONDS
    _bound()
    _start_few_at_once()
    _print_logs()
    lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | {"ZipFile": _SharedPackage})


def end() -> None:
    """Stop all environments and start no others: queues would continue to invoke functions during the shutdown."""
    _ending.set()
    lambda_runtime.reset()


class _SharedPackage(zipfile.ZipFile):
    """A deployment package whose files all environments share, as they are read-only on Lambda, too.

    ministack would extract thousands of files for each environment, in the threads of the server: after a burst of
    cold starts, it would answer nothing for seconds.
    """

    _lock = threading.Lock()

    def extractall(self, path: Any = None, *arguments: Any, **named: Any) -> None:
        """Extract the package once for all, and let ``path`` be a link to its files."""
        assert self.filename is not None
        digest = hashlib.sha256(Path(self.filename).read_bytes()).hexdigest()[:32]
        shared = Path(tempfile.gettempdir()) / f"eduflow-package-{os.getpid()}-{digest}"
        with self._lock:
            if not shared.exists():
                unfinished = shared.with_suffix(".tmp")
                super().extractall(unfinished, *arguments, **named)
                unfinished.rename(shared)
        Path(path).rmdir()
        Path(path).symlink_to(shared)


def _bound() -> None:
    free = threading.BoundedSemaphore(MAX_ENVIRONMENTS)
    execute = lambda_svc._execute_function_warm

    def execute_when_free(*arguments: Any, **named: Any) -> Any:
        with free:
            if _ending.is_set():
                raise RuntimeError("The local AWS is ending: no function begins any more.")
            return execute(*arguments, **named)

    lambda_svc._execute_function_warm = execute_when_free


def _start_few_at_once() -> None:
    """Start no more environments at once than there are processors: the first ones serve while the others start."""
    starts = threading.BoundedSemaphore(os.cpu_count() or 1)
    spawn = lambda_runtime.Worker._spawn

    def spawn_in_turn(self: Any) -> None:
        with starts:
            spawn(self)

    lambda_runtime.Worker._spawn = spawn_in_turn


def _print_logs() -> None:
    emit = lambda_svc._emit_lambda_logs

    def emit_and_print(func: Any, request_id: str, log_text: str, *arguments: Any, **named: Any) -> None:
        for line in (log_text or "").splitlines():
            if not line.startswith(_PLATFORM):
                print(line, flush=True)
        emit(func, request_id, log_text, *arguments, **named)

    lambda_svc._emit_lambda_logs = emit_and_print


def _keep_after_exceptions() -> None:
    """Keep an environment whose handler raised, as Lambda does: ministack would replace it.

    An authorizer says 401 by raising, so that each bad token would cost a cold start.
    """
    invoke, end, collect = lambda_runtime.Worker.invoke, lambda_runtime._signal, lambda_runtime._collect
    invoking = threading.local()

    def invoke_and_keep(self: Any, *arguments: Any, **named: Any) -> Any:
        invoking.ended = []
        try:
            result = invoke(self, *arguments, **named)
        finally:
            ended, invoking.ended = invoking.ended, None
        for process in ended:
            if "trace" in result and process.poll() is None:  # the handler raised, and the process lives
                self._proc = process
            else:
                end(process)
                collect(process, time.monotonic() + lambda_runtime._REAP_GRACE)
        return result

    def end_later(process: Any) -> None:
        if getattr(invoking, "ended", None) is None:
            end(process)
        else:
            invoking.ended.append(process)

    def collect_later(process: Any, deadline: float) -> None:
        if getattr(invoking, "ended", None) is None:
            collect(process, deadline)

    lambda_runtime.Worker.invoke = invoke_and_keep
    lambda_runtime._signal = end_later
    lambda_runtime._collect = collect_later
