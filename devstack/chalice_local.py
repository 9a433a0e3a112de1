"""``python -m devstack.chalice_local`` (make local): `chalice local` against the local AWS that runs.

Chalice restarts its server when a file below the project changes, whichever; below this one the
local AWS writes all the time. So only shipped files are watched.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devstack.stack import StackFailed, check_port_free, port_setting
from infra.chalice import cli
from infra.config import LOCAL, PROJECT
from infra.local_stage import HOME, HOST, running_environment

_WATCHED = ("app.py", "requirements.txt", ".chalice/config.json", "chalicelib/**/*")


def main() -> int:
    """Serve until Ctrl-C and return the exit status."""
    environment = running_environment(HOME)
    try:
        port = port_setting("LOCAL_PORT", 8001)
        if environment is None:
            raise StackFailed("`chalice local` needs the local AWS: start it with `make run` in another terminal.")
        check_port_free("LOCAL_PORT", port, target="local")
    except StackFailed as error:
        print(error, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Chalice stops its server on Ctrl-C only
    os.environ.update(environment)
    os.chdir(PROJECT)
    _watch_sources_only()
    sys.argv = [sys.executable, "-m", "devstack.chalice_local"]  # the command that Chalice restarts after a change
    arguments = ["local", "--stage", LOCAL, "--host", HOST, "--port", str(port)]
    cli.cli.main(arguments, obj={}, standalone_mode=False)
    return 0


def _watch_sources_only() -> None:
    from chalice.cli.filewatch.stat import StatFileWatcher  # after infra.chalice.cli

    def sources(_: Any, root: str) -> Iterator[str]:
        for pattern in _WATCHED:
            for path in Path(root).glob(pattern):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield str(path)

    def seed(self: Any, root: str) -> None:
        self._mtime_cache = {path: Path(path).stat().st_mtime for path in sources(self, root)}

    StatFileWatcher._recursive_walk_files = sources  # type: ignore[method-assign,assignment]
    StatFileWatcher._seed_mtime_cache = seed  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    sys.exit(main())
