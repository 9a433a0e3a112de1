"""The process of one Lambda execution environment: imports a handler, then answers one event per line of JSON.

The Python of the functions runs it, with nothing but the function's package on its path.
"""

import importlib
import io
import json
import os
import sys
import time
import traceback
from typing import Any


class Context:
    """The context object of an invocation (https://docs.aws.amazon.com/lambda/latest/dg/python-context.html)."""

    def __init__(self, event: dict[str, Any]) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.invoked_function_arn = event["invoked-function-arn"]
        self.aws_request_id = event["invoke-id"]
        self.identity = self.client_context = None
        self._end = time.time() + event["timeout"]

    def get_remaining_time_in_millis(self) -> int:
        """Return how much of the timeout is left."""
        return max(int(1000 * (self._end - time.time())), 0)


def main() -> int:
    """Serve until the end of standard input; return 1 if the handler cannot be imported."""
    responses = os.fdopen(os.dup(1), "w")  # of their own: what the function prints must not mix with them
    events = os.fdopen(os.dup(0))
    os.close(0)
    os.open(os.devnull, os.O_RDONLY)
    log = io.StringIO()
    sys.stdout = sys.stderr = log

    def respond(message: dict[str, Any]) -> None:
        responses.write(json.dumps(message) + "\n")
        responses.flush()

    try:
        sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
        module, _, name = os.environ["_HANDLER"].rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    except BaseException as error:
        respond({"error": _failure(error)})
        return 1
    respond({"ready": True})
    for line in events:
        response = _invoke(handler, json.loads(line), log)
        text = log.getvalue()
        log.seek(0)
        log.truncate()
        respond(response | {"logs": text + ("" if not text or text.endswith("\n") else "\n")})
    return 0


def _invoke(handler: Any, event: dict[str, Any], log: io.StringIO) -> dict[str, Any]:
    os.environ["_X_AMZN_TRACE_ID"] = event.get("trace-id") or ""
    try:
        result = handler(json.loads(event["payload"] or "null"), Context(event))
        json.dumps(result)
    except BaseException as error:
        log.write("[ERROR] " + traceback.format_exc())
        return {"result": _failure(error), "is_error": True}
    return {"result": result, "is_error": False}


def _failure(error: BaseException) -> dict[str, Any]:
    stack = traceback.format_tb(error.__traceback__)
    return {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": stack}


if __name__ == "__main__":
    sys.exit(main())
