"""Logs: one JSON object a line, in every function.

The standard library does it: Powertools' Logger would cost every cold start its import, and
its one-level ``extra`` is not the format that is asked for.
"""

import json
import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TextIO, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The id of the request at work, also where a queue or schedule does that work."""

access = logging.getLogger("app.access")
errors = logging.getLogger("app.error")
events = logging.getLogger("app.event")


class JsonFormatter(logging.Formatter):
    """timestamp, level, logger, message, request_id, extra, and an error's stack_trace."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            "extra": getattr(record, "extra", {}),
        }
        if record.exc_info:
            line["stack_trace"] = self.formatException(record.exc_info)
        line |= getattr(record, "root", {})  # what has to stand beside the others: embedded metrics
        return json.dumps(line, default=str)


class Reported(Exception):
    """An exception that is an answer, and has its line in the log already."""


def reporting_errors(handler: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A handler whose exceptions leave a line in the log before Lambda sees them."""

    @wraps(handler)
    def reporting(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return handler(*arguments, **named)
        except Reported:
            raise
        except Exception:
            errors.exception("Unhandled exception")
            raise

    return reporting


def configure(stream: TextIO | None = None) -> None:
    """Make every logger of this process write that format, the libraries' included; to stdout by default."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("app").setLevel(logging.INFO)
