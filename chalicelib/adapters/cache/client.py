"""The connection to Valkey, with short timeouts and a circuit breaker: no failure of the cache reaches a caller."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from chalicelib.core.config import settings
from chalicelib.observability import metrics
from chalicelib.observability.logs import error_log

CONNECT_TIMEOUT_SECONDS = 0.1
TLS_HANDSHAKE_TIMEOUT_SECONDS = 0.5  # two round trips, and a CPU share of 0.58 at 1 GB of memory
READ_TIMEOUT_SECONDS = 0.05
CIRCUIT_OPEN_SECONDS = 2

_open_until = float("-inf")


class CacheProtocolError(Exception):
    """The cache returned a reply that none of its commands has."""


@cache
def client() -> Any:
    """Return the process-wide client. Imported lazily to keep cold starts short."""
    from valkey import Valkey
    from valkey.backoff import NoBackoff
    from valkey.connection import SSLConnection
    from valkey.exceptions import ConnectionError as Disconnected
    from valkey.retry import Retry

    class TlsConnection(SSLConnection):
        """A connection with its own timeout for the TLS handshake, and a TLS context that all connections share.

        valkey-py applies the timeout of a read, and reads the certificate authorities again for each connection.
        """

        def _wrap_socket_with_ssl(self, sock: Any) -> Any:
            sock.settimeout(TLS_HANDSHAKE_TIMEOUT_SECONDS)
            wrapped = _tls_context(self.ca_certs).wrap_socket(sock, server_hostname=self.host)
            wrapped.settimeout(self.socket_timeout)
            return wrapped

    url = settings().cache_url
    tls = {"connection_class": TlsConnection} if url.startswith("valkeys:") else {}
    return Valkey.from_url(
        url,
        **tls,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=READ_TIMEOUT_SECONDS,
        # One retry on a closed connection: Lambda freezes for minutes between two requests.
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[Disconnected],
        lib_name=None,
        lib_version=None,
    )


@cache
def _tls_context(ca_file: str | None) -> Any:
    import ssl

    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def execute(pipeline: Any) -> list[Any]:
    """Execute a pipeline and return its replies.

    Raises its first error as the cache reported it, without the command and its arguments.
    """
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def is_enabled() -> bool:
    """Return whether this stage has a cache and uses it."""
    return bool(settings().cache_url)


def prepare() -> None:
    """Create the client if this stage has a cache, without a connection to it. The import takes 20 ms."""
    if is_enabled():
        client()


def is_circuit_open() -> bool:
    """Return whether the cache failed within the last CIRCUIT_OPEN_SECONDS."""
    return time.monotonic() < _open_until


@contextmanager
def circuit_breaker() -> Iterator[None]:
    """Suppress all failures of the cache, and open the circuit after one."""
    global _open_until
    try:
        yield
    except Exception as error:  # of any type: the client's parser can raise many
        if not is_circuit_open():
            log_failure("Cache unavailable; circuit breaker opened", error)
            metrics.increment("CacheBreakerOpened")
        metrics.increment("CacheErrors")
        _open_until = time.monotonic() + CIRCUIT_OPEN_SECONDS


def log_failure(message: str, error: Exception) -> None:
    """Log a warning with the type and text of an error."""
    error_log.warning(message, error=type(error).__name__, detail=str(error)[:200])


def reset() -> None:
    """Close the circuit and forget the client."""
    global _open_until
    _open_until = float("-inf")
    client.cache_clear()
