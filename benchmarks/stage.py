"""The stage ``test`` on the local AWS and Valkey of ``make run``, which run as processes of their own."""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from chalicelib.adapters import aws, sqs
from chalicelib.adapters.cache import client, switch
from chalicelib.core.config import settings
from chalicelib.models import base
from chalicelib.observability import logs
from chalicelib.security import signing_keys
from devstack.stack import Stack, free_ports
from infra.config import PROJECT
from infra.local_stage import aws_environment
from infra.stacks import provision
from tests.stack import TEST_STAGE

_UNLIMITED = "1000000"
_SETTINGS = {
    "STAGE": TEST_STAGE.name,
    "MAIL_FROM": TEST_STAGE.sender,
    "LOGINS_PER_ACCOUNT": _UNLIMITED,
    "ENROLLMENTS_PER_STUDENT": _UNLIMITED,
}


@contextlib.contextmanager
def running_stage() -> Iterator[None]:
    """Let this process use an empty stage, with a cache. At its end, forget all clients."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(PROJECT, Path(folder), *free_ports(2))
        os.environ.update(aws_environment(stack.aws_url) | _SETTINGS | {"CACHE_URL": stack.cache_url})
        try:
            stack.start()
            provision(TEST_STAGE)
            _configure_application()
            yield
        finally:
            stack.stop()
            for module in (aws, sqs, base, signing_keys, client, switch):
                module.reset()
            settings.cache_clear()


def _configure_application() -> None:
    """Discard the log lines, and wait longer for DynamoDB and the cache: a busy machine is no outage.

    The emulator sorts the 100,000 rows of a partition for each query, which takes seconds.
    """
    aws.READ_TIMEOUT_SECONDS, client.READ_TIMEOUT_SECONDS = 60, 2
    import app  # noqa: F401  configures the logs, too

    logs.configure(_Discarded())


class _Discarded(io.StringIO):
    """A stream that stores nothing."""

    def write(self, text: str) -> int:
        return len(text)


def valkey_version() -> str:
    """Return the version of the Valkey that runs."""
    return str(client.client().info("server")["valkey_version"])
