"""The wall clock of a stage's functions and of this process, which can be advanced: no hour really passes.

SQS and Lambda keep their own time: visibility timeouts and the durations of functions are real.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chalicelib.core import clock

_STARTUP = Path(__file__).parents[1] / "function_startup"


class Clock:
    """A clock that is never set back, because the cleanup stores how far it is."""

    def __init__(self, file: Path) -> None:
        self._file, self._shift = file, 0.0
        real_time = time.time
        time.time = lambda: real_time() + self._shift
        clock.now = lambda: datetime.fromtimestamp(time.time(), UTC)
        self.settings = {"PYTHONPATH": str(_STARTUP), "CLOCK_FILE": str(file)}
        """The environment variables that give a function this clock."""
        self.advance()

    def advance(self, hours: float = 0) -> None:
        """Advance the clock. A function that runs finds that much of its time used up."""
        self._shift += timedelta(hours=hours).total_seconds()
        unfinished = self._file.with_suffix(".tmp")
        unfinished.write_text(str(self._shift))
        unfinished.replace(self._file)
