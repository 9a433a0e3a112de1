"""Shards: the partitions over which an index spreads rows that are read together."""

import zlib

from chalicelib.core.config import settings


def shard_of(user_id: str) -> str:
    """Return the shard of a user's rows."""
    return str(zlib.crc32(user_id.encode()) % settings().enrollment_shards)


def all_shards() -> list[str]:
    """Return the shards of this stage's indexes."""
    return [str(number) for number in range(settings().enrollment_shards)]
