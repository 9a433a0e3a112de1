"""ministack's Lambda, made fit for a laptop: bounded, quick after a silent function, heard as it runs."""

import threading
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

MAX_ENVIRONMENTS = 8  # at once; each is a Python process. More invocations wait, where AWS would scale out.
_QUIET_SECONDS = (0.005, 0.002, 0.25)
_PLATFORM = ("START RequestId:", "END RequestId:", "REPORT RequestId:")


def install() -> None:
    """Change ministack in this process."""
    # A function that logs nothing would cost 50 ms of waiting for its log.
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = _QUIET_SECONDS
    _bound()
    _print_logs()


def _bound() -> None:
    free = threading.BoundedSemaphore(MAX_ENVIRONMENTS)
    execute = lambda_svc._execute_function_warm

    def execute_when_free(*arguments: Any, **named: Any) -> Any:
        with free:
            return execute(*arguments, **named)

    lambda_svc._execute_function_warm = execute_when_free


def _print_logs() -> None:
    emit = lambda_svc._emit_lambda_logs

    def emit_and_print(func: Any, request_id: str, log_text: str, *arguments: Any, **named: Any) -> None:
        for line in (log_text or "").splitlines():
            if not line.startswith(_PLATFORM):
                print(line, flush=True)
        emit(func, request_id, log_text, *arguments, **named)

    lambda_svc._emit_lambda_logs = emit_and_print
