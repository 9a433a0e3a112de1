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
def client(service: str) -> Any:
    """The client of an AWS service, such as ``sqs``. Thread-safe."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    return session().create_client(service, config=config)
