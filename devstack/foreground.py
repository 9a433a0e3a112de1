"""Commands that serve until Ctrl-C: ``make run`` with either backend."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from devstack.stack import StackFailed


class Server(Protocol):
    """Something that serves until it is stopped."""

    def wait(self) -> int:
        """Wait until it ends by itself and return its exit status."""

    def stop(self) -> None:
        """End it."""


class _Interrupted(Exception):
    """Ctrl-C or SIGTERM was received."""


def run_until_interrupted(create: Callable[[], Server], start: Callable[..., None], farewell: str) -> int:
    """Create and start a server, wait for Ctrl-C or SIGTERM, stop the server, and return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        server = create()
        try:
            start(server)
            status = server.wait()
            raise StackFailed(f"The local AWS ended by itself with status {status}; its log is in .local.")
        finally:
            _ignore_signals()
            server.stop()
    except _Interrupted:
        print(f"\n{farewell}")
        return 0
    except (StackFailed, OSError) as error:  # OSError: such as a read-only folder
        print(f"\n{error}", file=sys.stderr)
        return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Interrupted


def _ignore_signals() -> None:
    """Let a second Ctrl-C not interrupt the saving of the data."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
