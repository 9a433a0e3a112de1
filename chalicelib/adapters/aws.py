"""Clients of AWS: one session a process, short timeouts, few retries.

botocore and not boto3: the client is the same, and no cold start pays for boto3's import.
"""

from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config

CONNECT_SECONDS = 2
READ_SECONDS = 5
ATTEMPTS = 3


@cache
def session() -> botocore.session.Session:
    """The one session; a second one would cost a client another 100 ms of start-up."""
    return botocore.session.get_session()


@cache
def client(service: str, read_seconds: float = READ_SECONDS, attempts: int = ATTEMPTS) -> Any:
    """The client of an AWS service, such as ``sqs``. Thread-safe."""
    return session().create_client(service, config=config(read_seconds, attempts))


def config(read_seconds: float = READ_SECONDS, attempts: int = ATTEMPTS) -> Config:
    """How long a client waits, and how often it tries: botocore's own defaults outlive a Lambda."""
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
