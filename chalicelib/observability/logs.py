"""Structured logging: one JSON object per line, in every function.

By the standard library: the Logger of Powertools costs every cold start its import, and its flat ``extra`` is not the
format of the contract.
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

# The ID of the current request, also in the workers that process what the request deferred.
request_id: ContextVar[str] = ContextVar("request_id", default="-")


class StructuredLogger:
    """A logger whose keyword arguments become the fields of ``extra`` in the line."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, message: str, **fields: Any) -> None:
        """Log an event."""
        self._logger.info(message, extra={"extra": fields})

    def warning(self, message: str, **fields: Any) -> None:
        """Log a problem that the caller does not notice."""
        self._logger.warning(message, extra={"extra": fields})

    def error(self, message: str, **fields: Any) -> None:
        """Log an error."""
        self._logger.error(message, extra={"extra": fields})

    def exception(self, message: str, **fields: Any) -> None:
        """Log an error with the stack trace of the current exception."""
        self._logger.exception(message, extra={"extra": fields})


access_log = StructuredLogger("app.access")
error_log = StructuredLogger("app.error")
event_log = StructuredLogger("app.event")
audit_log = StructuredLogger("app.audit")  # of authentication; the field `event` names what happened (ASVS 5.0 16.3.1)


_encode = json.JSONEncoder(default=str).encode


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: timestamp, level, logger, message, request_id, extra and stack_trace."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
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
        line |= getattr(record, "embedded_metrics", {})  # CloudWatch reads them at the top level only
        return _encode(line)


class HandledError(Exception):
    """An exception that is the function's response and was logged already."""


def log_unhandled_errors(handler: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a Lambda handler log its exceptions as JSON before Lambda sees them."""

    @wraps(handler)
    def logging_handler(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return handler(*arguments, **named)
        except HandledError:
            raise
        except Exception:
            error_log.exception("Unhandled exception")
            raise

    return logging_handler


def configure(stream: TextIO | None = None) -> None:
    """Write all loggers of this process, including the libraries', as JSON to a stream; stdout by default."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    # No line has the place of its call, nor thread and process: https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger("app").setLevel(logging.INFO)
