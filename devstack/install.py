"""``python -m devstack.install`` (make): create .venv with all packages. It needs no installed package.

pip writes some 300 lines. They are kept in a log, and the terminal shows the progress.
"""

import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from devstack.stack import StackFailed, check_port_free, port_setting
from infra.config import PROJECT

_FOLDER = PROJECT / ".venv"
_WHEELS_BY_HASH = ("--require-hashes", "--only-binary=:all:", "--no-deps")  # no code of a package runs to install it
_PROGRESS_SECONDS = 5
_ERROR_LINES = 12


def main() -> int:
    """Run ``python -m devstack.install [GOAL ...]`` with the goals of make, and return the exit status."""
    try:
        if "run" in sys.argv[1:]:  # a port in use is reported now, not after a minute
            check_port_free("PORT", port_setting("PORT", 8000))
            check_port_free("AWS_PORT", port_setting("AWS_PORT", 4566))
            if port_setting("PORT", 8000) == port_setting("AWS_PORT", 4566):
                raise StackFailed("PORT and AWS_PORT are equal: choose two ports.")
        return _install()
    except (StackFailed, OSError) as error:  # OSError: such as a read-only folder
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The next `make` starts the installation again.", file=sys.stderr)
        return 130


def _install() -> int:
    if _FOLDER.is_symlink():  # venv deletes the contents of the folder, here that of another clone
        raise StackFailed(f"{_FOLDER} is a link to another folder: remove the link, and run the same command again.")
    started = time.monotonic()
    print("Installing the dependencies into .venv (once; 630 MB, about a minute) ...", flush=True)
    try:
        venv.create(_FOLDER, clear=True, with_pip=True)
    except subprocess.CalledProcessError:
        print("This Python cannot create virtual environments; on Debian: apt install python3-venv.", file=sys.stderr)
        return 1
    command = [str(_FOLDER / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += [*_WHEELS_BY_HASH, "-r", str(_requirements())]
    log = _FOLDER / "install.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,
    ):
        assert pip.stdout is not None
        for line in _with_progress(iter(pip.stdout)):
            output.write(line)
    if pip.returncode:
        lines = log.read_text().splitlines()
        errors = [line for line in lines if line.lower().startswith("error")]
        print("\n".join((errors or lines)[-_ERROR_LINES:]), file=sys.stderr)
        print(
            f"pip could not install the packages (all of its output: {log}). It needs access to PyPI, or to the index"
            " that PIP_INDEX_URL names. Then run the same command again.",
            file=sys.stderr,
        )
        return 1
    print(f"  installed after {time.monotonic() - started:.0f} s", flush=True)
    return 0


def _requirements() -> Path:
    return PROJECT / os.environ.get("REQUIREMENTS", "requirements-dev.txt")


def _with_progress(lines: Iterator[str]) -> Iterator[str]:
    """Yield pip's lines, and show every few seconds how far it is."""
    total = sum("==" in line for line in _requirements().read_text().splitlines())
    found, shown_at = 0, time.monotonic()
    for line in lines:
        yield line
        found += line.startswith(("Collecting ", "Processing ", "Requirement already satisfied"))
        if line.startswith("Installing collected packages"):
            print("  all packages are downloaded; installing them ...", flush=True)
            break
        if time.monotonic() - shown_at > _PROGRESS_SECONDS:
            shown_at = time.monotonic()
            print(f"  {min(found, total)} of {total} packages ...", flush=True)
    yield from lines


if __name__ == "__main__":
    sys.exit(main())
