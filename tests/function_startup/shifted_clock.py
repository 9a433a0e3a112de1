"""A wall clock that is shifted by the seconds in a file (see `tests.fault_injection.clock`)."""

import datetime
import time
from pathlib import Path
from typing import Any

_time, _datetime = time.time, datetime.datetime


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


def install(file: Path) -> None:
    """Shift the clock of this process, as the file says at each reading of it."""
    time.time = lambda: _time() + float(file.read_text())
    datetime.datetime = _ShiftedDatetime  # type: ignore[misc]
