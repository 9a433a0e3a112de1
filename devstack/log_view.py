"""The functions' log lines for a person at a terminal: one short line for each request."""

import json
import sys
from datetime import datetime
from typing import Any

_RESET, _DIM, _RED, _GREEN, _YELLOW = "\x1b[0m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"
_LEVEL_COLORS = {"WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _RED}
_ID_LENGTH = 8
_HANDLED_ERROR = "chalicelib.observability.logs.HandledError: "


def render(text: str) -> str:
    """Return the line of a log as it is shown; text that is not a log line of a function stays as it is."""
    try:
        line = json.loads(text)
        time = datetime.fromisoformat(line["timestamp"]).astimezone().strftime("%H:%M:%S")
        message, level, fields = line["message"], line["level"], dict(line["extra"])
    except (ValueError, KeyError, TypeError):
        return text.rstrip("\n")
    request_id = f" {_DIM}{str(line['request_id'])[:_ID_LENGTH]}{_RESET}"
    if "status" in fields and "duration_ms" in fields:
        details = f"{fields['duration_ms']:.0f} ms"
        color = _status_color(fields["status"])
    else:
        details = " ".join(f"{name}={value}" for name, value in fields.items())
        color = _LEVEL_COLORS.get(level, "")
    trace = f"\n{line['stack_trace']}" if "stack_trace" in line else ""
    return f"{_DIM}{time}{_RESET} {color}{message}{_RESET} {details}{request_id}{trace}"


def _status_color(status: Any) -> str:
    return _GREEN if status < 400 else _YELLOW if status < 500 else _RED


def main() -> None:
    """Show the lines of standard input until it ends, except for one: Lambda's text of a 401, which has a line."""
    for text in sys.stdin:
        if text.startswith(_HANDLED_ERROR):
            continue
        print(render(text), flush=True)


if __name__ == "__main__":
    main()
