"""The connection to Valkey: short timeouts, and nothing that goes wrong on it reaches a caller.

What is slow, down or talks nonsense is left alone for a while by those who can do without it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from chalicelib.core.config import settings
from chalicelib.observability import logs, metrics

CONNECT_SECONDS = 0.1
TLS_HANDSHAKE_SECONDS = 0.5  # two round trips, and a CPU share of 0.58 at 1 GB of memory
ANSWER_SECONDS = 0.05
REST_SECONDS = 2

_resting_until = float("-inf")


class Nonsense(Exception):
    """The cache answered something that it was never told."""


@cache
def client() -> Any:
    """The client; made on first use, because its import costs a cold start more than all else here."""
    from valkey import Valkey
    from valkey.backoff import NoBackoff
    from valkey.connection import SSLConnection
    from valkey.exceptions import ConnectionError as Disconnected
    from valkey.retry import Retry

    class TlsConnection(SSLConnection):
        """A connection whose TLS handshake has a timeout of its own: valkey-py applies that of a read to it."""

        def _wrap_socket_with_ssl(self, sock: Any) -> Any:
            sock.settimeout(TLS_HANDSHAKE_SECONDS)
            wrapped = super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
            wrapped.settimeout(self.socket_timeout)
            return wrapped

    url = settings().cache_url
    tls = {"connection_class": TlsConnection} if url.startswith("valkeys:") else {}
    return Valkey.from_url(
        url,
        **tls,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        # Once more when a connection is found closed: Lambda freezes for minutes between two requests.
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[Disconnected],
        lib_name=None,
        lib_version=None,
    )


def run(steps: Any) -> list[Any]:
    """The answers of a pipeline.

    Raises its first error as the cache said it, without the command and what it carried.
    """
    answers: list[Any] = steps.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def is_resting() -> bool:
    """Whether it failed so recently that it is left alone."""
    return time.monotonic() < _resting_until


@contextmanager
def guarded() -> Iterator[None]:
    """Let nothing that a cache does reach a caller, and leave it alone for a while afterwards."""
    global _resting_until
    try:
        yield
    except Exception as error:  # whatever it is: a client's parser meets anything
        if not is_resting():
            report("The cache failed, and is left alone for a while", error)
            metrics.count("CacheBreakerOpened")
        metrics.count("CacheErrors")
        _resting_until = time.monotonic() + REST_SECONDS


def report(message: str, error: Exception) -> None:
    """A warning in the log, with what went wrong."""
    logs.errors.warning(message, extra={"extra": {"error": type(error).__name__, "detail": str(error)[:200]}})
