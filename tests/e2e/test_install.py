"""The installation of the dependencies by the first `make`."""

import os
import socket
import subprocess
import sys

from tests.stack import RunningStack


def test_port_in_use_is_reported_before_the_installation(own_copy: RunningStack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", own_copy.port))
        taken.listen()

        failed = _install(own_copy, "run", PORT=str(own_copy.port))

    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(f"Port {own_copy.port} is in use")
    assert not (own_copy.folder / ".venv").exists()


def test_installation_without_network_names_its_cause(own_copy: RunningStack) -> None:
    failed = _install(
        own_copy, PIP_INDEX_URL="http://127.0.0.1:9", PIP_RETRIES="0", PIP_NO_CACHE_DIR="1", PIP_CONFIG_FILE=os.devnull
    )

    assert failed.returncode == 1
    assert "ERROR: Could not find a version that satisfies the requirement" in failed.stderr
    assert "It needs access to PyPI" in failed.stderr
    assert (own_copy.folder / ".venv" / "install.log").exists()


def _install(own_copy: RunningStack, *goals: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, "-m", "devstack.install", *goals],
        cwd=own_copy.folder,
        env=own | {"PYTHONPATH": str(own_copy.folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
