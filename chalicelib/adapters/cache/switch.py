"""Whether the cache is in use: one row in the database, which a writer sets when it cannot reach the cache.

Each process reads the row again when its copy is COPY_SECONDS old. So COPY_SECONDS after the row was set, no reader
uses the cache, and the writer can acknowledge its write. Later writers find the cache switched off, and wait for
nothing. When it is in use again, it is in a new epoch: the epoch is part of all keys, so that nothing of the time
before is read, even if the cache returns with all its memory.

By the wall clock, which AWS keeps in step: a monotonic one may stand still while Lambda freezes the process.
"""

import time
from typing import Any, NamedTuple

from pynamodb.exceptions import VerboseClientError

from chalicelib.adapters.dynamodb import connection
from chalicelib.core.config import settings
from chalicelib.core.errors import WriteContention
from chalicelib.core.retries import Backoff
from chalicelib.observability import metrics
from chalicelib.observability.logs import error_log

COPY_SECONDS = 1
OFF_SECONDS = 60
_MARGIN_SECONDS = 0.5  # of clocks that differ, and of steps between reading a clock and acting on it
_TABLE, _ID = "cache-state", "valkey"


class State(NamedTuple):
    """The row. Times are in Unix seconds."""

    epoch: int = 0
    off_since: float = 0.0
    off_until: float = 0.0

    def is_off(self, now: float) -> bool:
        """Return whether readers bypass the cache."""
        return now < self.off_until

    def can_be_prolonged(self, now: float) -> bool:
        """Return whether the cache is off for so long that all processes learn in time when that is prolonged."""
        return now < self.off_until - COPY_SECONDS - _MARGIN_SECONDS

    @property
    def known_at(self) -> float:
        """When all processes know that the cache is off."""
        return self.off_since + COPY_SECONDS + _MARGIN_SECONDS


_copy: tuple[float, State] | None = None


def state() -> State:
    """Return the state, at most COPY_SECONDS old.

    Raises:
        Throttled, VerboseClientError, HTTPClientError: The database did not return it.
    """
    global _copy
    now = time.time()
    if _copy is None or not 0 <= now - _copy[0] < COPY_SECONDS:
        _copy = (now, _read())
    return _copy[1]


def turn_off() -> State:
    """Switch the cache off for OFF_SECONDS, or prolong that, and return the new state.

    Other processes learn it COPY_SECONDS after the row was stored. If that took longer than the margin, they could use
    the cache for longer than the row says, and the row is stored again, with a new epoch.

    Raises:
        Throttled, WriteContention, VerboseClientError, HTTPClientError: The database did not store it.
    """
    global _copy
    backoff, was_late = Backoff(), False
    while True:
        now, old = time.time(), _read()
        if old.can_be_prolonged(now) and not was_late:
            new = old._replace(off_until=now + OFF_SECONDS)
        else:
            new = State(old.epoch + 1, off_since=now, off_until=now + OFF_SECONDS)
        if _write(old, new):
            was_late = time.time() - now > _MARGIN_SECONDS
            if not was_late:
                _copy = (now, new)
                error_log.warning("The cache is switched off", epoch=new.epoch, seconds=OFF_SECONDS)
                metrics.increment("CacheSwitchedOff")
                return new
        backoff.wait(WriteContention())


def _read() -> State:
    row = _call("GetItem", Key={"id": {"S": _ID}}, ConsistentRead=True).get("Item")
    if row is None:
        return State()
    return State(int(row["epoch"]["N"]), float(row["off_since"]["N"]), float(row["off_until"]["N"]))


def _write(old: State, new: State) -> bool:
    """Replace the row, and return False if another process has."""
    numbers = {name: {"N": repr(value)} for name, value in new._asdict().items()}
    try:
        _call(
            "PutItem",
            Item={"id": {"S": _ID}, **numbers},
            ConditionExpression="attribute_not_exists(id) OR (epoch = :epoch AND off_until = :until)",
            ExpressionAttributeValues={":epoch": {"N": repr(old.epoch)}, ":until": {"N": repr(old.off_until)}},
        )
    except VerboseClientError as error:
        if error.response["Error"].get("Code") != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _call(operation: str, **parameters: Any) -> dict[str, Any]:
    table = settings().resource_name(_TABLE)
    return connection()._make_api_call(operation, {"TableName": table, **parameters})


def reset() -> None:
    """Forget the copy of the state."""
    global _copy
    _copy = None
