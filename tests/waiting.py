"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import Any


def eventually(found: Callable[[], Any], seconds: float = 30) -> Any:
    """Return the result of ``found`` once it is true; fail after the deadline."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"nothing within {seconds} s"
        time.sleep(0.1)
    return value
