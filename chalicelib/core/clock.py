"""Time in the API's format: RFC 3339, UTC, of fixed width, so that text order is time order."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp() -> str:
    """Return the current time as `format_timestamp` does."""
    return format_timestamp(now())


def format_timestamp(time: datetime) -> str:
    """Return a time as ``2026-11-22T09:30:00.000000Z``, always with six decimals."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_unix(seconds: float) -> str:
    """Return a time in Unix seconds as `format_timestamp` does."""
    return format_timestamp(datetime.fromtimestamp(seconds, UTC))


def parse_timestamp(text: str) -> datetime:
    """Return the time that `format_timestamp` formatted."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
