"""Shifts the wall clock of a function by the seconds in the file that CLOCK_FILE names.

Python imports a module of this name when it starts, if PYTHONPATH has its folder: see `tests.fault_injection.clock`.
"""

import datetime
import os
import time
from pathlib import Path
from typing import Any

_file, _time = Path(os.environ["CLOCK_FILE"]), time.time
_datetime = datetime.datetime


class _Type(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _datetime)


class _ShiftedDatetime(datetime.datetime, metaclass=_Type):
    """Creates ordinary datetimes, and reads the shifted clock."""

    def __new__(cls, *values: Any, **options: Any) -> Any:
        return _datetime(*values, **options)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _datetime.fromtimestamp(time.time(), tz)


def _shifted_time() -> float:
    return _time() + float(_file.read_text())


time.time = _shifted_time
datetime.datetime = _ShiftedDatetime  # type: ignore[misc]
