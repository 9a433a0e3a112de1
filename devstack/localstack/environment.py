"""LocalStack 4.14.0 from PyPI: its environment of Python 3.13, and its process on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO

from devstack.stack import StackFailed, cache_url, check_port_free, free_ports
from infra.local_stage import HOST

VERSION = "4.14.0"  # the last release that needs no token
_FOLDER = Path(__file__).parent
_REQUIREMENTS = _FOLDER / "requirements.txt"
_PYTHON = "3.13"  # LocalStack's own; 3.11 cannot run it
_START_SECONDS = 120
_STOP_SECONDS = 30
_SERVICES = "apigateway,cloudformation,cloudwatch,dynamodb,events,iam,lambda,logs,secretsmanager,ses,sqs,ssm,sts,s3"


class PythonMissing(StackFailed):
    """There is no Python 3.13 on this machine; the message says where it is looked for."""


class LocalStack:
    """A LocalStack on this machine, with the data and logs of this run in ``home``."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.url = f"http://{HOST}:{port}"
        self.port = port
        [self.valkey_port] = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._valkey: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that works on the stage ``localstack`` here."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return own | {
            "AWS_PORT": str(self.port),
            "VALKEY_PORT": str(self.valkey_port),
            "EDUFLOW_HOST_FUNCTIONS": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def start(self, python: Path, output: IO[bytes] | None = None) -> None:
        """Start LocalStack by the Python of its environment, and Valkey; function logs go to ``output``.

        Raises StackFailed.
        """
        check_port_free("AWS_PORT", self.port)
        shutil.rmtree(self.home, ignore_errors=True)  # the free edition keeps nothing
        (self.home / "tmp").mkdir(parents=True)
        command = [sys.executable, "-m", "devstack.valkey", str(self.valkey_port), str(self.home / "valkey")]
        self._valkey = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        log = self.home / "localstack.log"
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(python), str(_FOLDER / "server.py")],
                env=self._server_environment(),
                stdin=subprocess.PIPE,
                stdout=output or errors,
                stderr=errors,
                start_new_session=True,
            )
        end = time.monotonic() + _START_SECONDS
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() > end:
                raise StackFailed(f"LocalStack did not start; its log is {log}.")
            time.sleep(0.2)

    def wait(self) -> int:
        """Wait until LocalStack ends and return its exit status."""
        assert self._process is not None
        return self._process.wait()

    def stop(self) -> None:
        """End LocalStack and Valkey."""
        for process in (self._process, self._valkey):
            if process is None:
                continue
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _server_environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONUNBUFFERED": "1",
            "FILESYSTEM_ROOT": str(self.home / "files"),
            "GATEWAY_LISTEN": f"{HOST}:{self.port}",
            "SERVICES": _SERVICES,
            "DNS_ADDRESS": "0",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            # The base interpreter and not the project's: a dependency that the package lacks must be missed.
            "FUNCTION_PYTHON": str(Path(sys.executable).resolve()),
            "DYNAMODB_PYTHON": sys.executable,
            "HOST_ALIASES": json.dumps({"valkey://valkey:6379": cache_url(self.valkey_port)}),
        }

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_localstack/health", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False


def install(folder: Path) -> Path:
    """Create LocalStack's environment in a folder, unless it is there, and return its Python.

    Raises PythonMissing, StackFailed.
    """
    python, done = folder / "bin" / "python", folder / ".installed"
    expected = f"{VERSION}\n{_REQUIREMENTS.read_text(encoding='utf-8')}"
    if done.exists() and done.read_text(encoding="utf-8") == expected:
        return python
    base = find_python()
    print(f"Installing LocalStack {VERSION} into {folder} (506 MB, about a minute, once) ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    for command in (
        [base, "-m", "venv", str(folder)],
        [*pip, "--require-hashes", "--no-deps", "-r", str(_REQUIREMENTS)],
    ):
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise StackFailed(f"LocalStack could not be installed: {finished.stderr.strip()}")
    done.write_text(expected, encoding="utf-8")
    return python


def find_python() -> str:
    """Return a Python 3.13: PYTHON313, `python3.13` on the path, or the newest of pyenv's versions.

    Raises PythonMissing.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [os.environ.get("PYTHON313", ""), shutil.which(f"python{_PYTHON}") or ""]
    candidates += [str(path) for path in sorted(pyenv.glob(f"{_PYTHON}.*/bin/python"), reverse=True)]
    for candidate in filter(None, candidates):
        version = subprocess.run([candidate, "-V"], capture_output=True, text=True, check=False).stdout
        if version.startswith(f"Python {_PYTHON}"):
            return candidate
    raise PythonMissing(
        f"LocalStack needs Python {_PYTHON}, which is neither PYTHON313, nor python{_PYTHON} on the path, nor one of "
        "pyenv's versions."
    )
