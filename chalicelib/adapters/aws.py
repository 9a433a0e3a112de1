"""AWS clients: one session per process, short timeouts, few retries, fast parsing of DynamoDB's items.

By botocore and not boto3: the client is the same, and no cold start pays for boto3's import.
"""

from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.parsers import JSONParser, ResponseParserFactory

from chalicelib.core.config import PROJECT

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 5
MAX_ATTEMPTS = 3


class _JsonParser(JSONParser):  # type: ignore[misc]
    """A parser that returns the items of DynamoDB as they are in its JSON, instead of copying each attribute.

    botocore looks for each of ten types in each attribute: half of the CPU time of a call that reads 20 courses. Its
    result is different for binary values only, and no table has any.
    """

    def _handle_map(self, shape: Any, value: Any) -> Any:
        return value if shape.value.name == "AttributeValue" else super()._handle_map(shape, value)


class _ParserFactory(ResponseParserFactory):  # type: ignore[misc]
    def create_parser(self, protocol_name: str) -> Any:
        return _JsonParser(**self._defaults) if protocol_name == "json" else super().create_parser(protocol_name)


@cache
def session() -> botocore.session.Session:
    """Return the process-wide session. Each further session would add 100 ms to a cold start.

    Its clients have a constant User-Agent: botocore would compose its own again for each call, which takes 15 % of a
    call's CPU time.
    """
    shared = botocore.session.get_session()
    shared.set_default_client_config(Config(user_agent=PROJECT))
    shared.register_component("response_parser_factory", _ParserFactory())
    return shared


@cache
def client(
    service: str,
    read_timeout: float = READ_TIMEOUT_SECONDS,
    max_attempts: int = MAX_ATTEMPTS,
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
) -> Any:
    """Return the process-wide client of an AWS service, such as ``sqs``. Thread-safe; timeouts in seconds."""
    return session().create_client(service, config=config(read_timeout, max_attempts, connect_timeout))


def config(
    read_timeout: float = READ_TIMEOUT_SECONDS,
    max_attempts: int = MAX_ATTEMPTS,
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
) -> Config:
    """Return a client configuration: botocore's default timeouts are longer than a Lambda function may run."""
    return Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": max_attempts},
    )


def reset() -> None:
    """Forget the session and its clients."""
    session.cache_clear()
    client.cache_clear()
