"""A running local stack: the local AWS, its CloudFormation stacks, and the deployed API."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from infra.config import LOCAL, PROJECT
from infra.local_stage import HOST, LOCK_FILE, STATE_FILE, aws_environment

_DATA_FORMAT = "3"  # of tables, queues and function names; change it when `make run` cannot read older data
_START_SECONDS = 60
_STOP_SECONDS = 20
_POLL_SECONDS = 0.1


class StackFailed(RuntimeError):
    """The stack cannot run; the message says why and what to do."""


class Stack:
    """A stack of the files in ``project``, with its data and logs in ``home``."""

    def __init__(self, project: Path, home: Path, api_port: int, aws_port: int) -> None:
        self.project = project
        self.home = home
        self.url = f"http://{HOST}:{api_port}"
        self.aws_url = f"http://{HOST}:{aws_port}"
        [cache_port] = free_ports(1)
        self.cache_url = cache_url(cache_port)
        self._cache_port = cache_port
        self._ports = {"PORT": api_port, "AWS_PORT": aws_port}
        self._server: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that uses this stack, and never a real AWS."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return mine | aws_environment(self.aws_url) | {"CACHE_URL": self.cache_url}

    def start(self, output: IO[bytes] | None = None) -> None:
        """Start the local AWS; the functions' log is written to ``output``, or to that of this process.

        Raises StackFailed.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)  # it has logs, data and keys, which no other user of this machine may read
        self._acquire_lock()
        self._check_data_format()
        if len(set(self._ports.values())) < len(self._ports):
            raise StackFailed("PORT and AWS_PORT are equal: choose different ports.")
        for name, port in self._ports.items():
            check_port_free(name, port)
        command = [sys.executable, "-m", "devstack.server", "--stage", LOCAL, "--home", str(self.home)]
        command += ["--api-port", str(self._ports["PORT"]), "--aws-port", str(self._ports["AWS_PORT"])]
        command += ["--cache-port", str(self._cache_port)]
        with (self.home / "aws.log").open("wb") as log:
            self._server = subprocess.Popen(
                command,
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the parent, which then ends it in order
            )
        self._await_answer(f"{self.aws_url}/_ministack/health", "The local AWS did not start")
        (self.home / STATE_FILE).write_text(json.dumps(aws_environment(self.aws_url) | {"CACHE_URL": self.cache_url}))

    def provision(self) -> None:
        """Create the stack of infra/templates/data.yaml: tables, queues and keys.

        Raises StackFailed.
        """
        self._run("CloudFormation failed", sys.executable, "-m", "infra.stacks", LOCAL)

    def deploy(self) -> None:
        """Run `chalice deploy`, then let the API respond: a restart would else show the code of the last run.

        Raises StackFailed.
        """
        chalice = (sys.executable, "-m", "infra.chalice.cli")
        self._run("`chalice deploy` failed", *chalice, "deploy", "--stage", LOCAL)
        assert self._server is not None
        assert self._server.stdin is not None
        self._server.stdin.write(b"deployed\n")
        self._server.stdin.flush()

    def warm_up(self) -> None:
        """Wait for the first response of the API.

        Raises StackFailed.
        """
        self._await_answer(f"{self.url}/api/health/", "The deployed API does not respond")

    def wait(self) -> int:
        """Wait until the local AWS ends and return its exit status."""
        assert self._server is not None
        return self._server.wait()

    def stop(self) -> None:
        """Stop everything and save the data."""
        if self._lock is None:
            return
        (self.home / STATE_FILE).unlink(missing_ok=True)
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        if self._server is not None and self._server.stdin is not None:
            self._server.stdin.close()
        self._lock.close()
        self._lock = None

    def _acquire_lock(self) -> None:
        lock = (self.home / LOCK_FILE).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise StackFailed("EduFlow is already running from this folder: stop it first (Ctrl-C).") from None
        self._lock = lock

    def _check_data_format(self) -> None:
        file = self.home / "data-format"
        if (self.home / "aws").exists() and (not file.exists() or file.read_text() != _DATA_FORMAT):
            raise StackFailed(f"The data in {self.home} is of another version of EduFlow: `make clean` deletes it.")
        file.write_text(_DATA_FORMAT)

    def _run(self, failure: str, *command: str) -> None:
        log = self.home / "deploy.log"
        temporary = self.home / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)  # of an interrupted start, such as pip's folders
        temporary.mkdir()
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=self.project,
                env=self.environment | {"TMPDIR": str(temporary), "EDUFLOW_API_URL": self.url},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # with all that it started, such as pip
            process.wait()
            raise
        if status:
            raise StackFailed(f"{failure}: {_last_line(log)} (all of it: {log})")

    def _await_answer(self, url: str, failure: str) -> None:
        assert self._server is not None
        end = time.monotonic() + _START_SECONDS
        answer = "no answer"
        while time.monotonic() < end:
            if self._server.poll() is not None:
                break
            try:
                with urllib.request.urlopen(url, timeout=_START_SECONDS) as response:
                    if response.status == 200:
                        return
            except urllib.error.HTTPError as error:
                answer = f"{error.code} {error.read(500).decode(errors='replace')}"
            except OSError as error:
                answer = str(error)
            time.sleep(_POLL_SECONDS)
        log = self.home / "aws.log"
        raise StackFailed(f"{failure}: {answer}; {_last_line(log)} (all of it: {log})")


def cache_url(port: int) -> str:
    """Return the URL of a Valkey on this machine."""
    return f"valkey://{HOST}:{port}"


def port_setting(name: str, default: int) -> int:
    """Return the port in an environment variable.

    Raises StackFailed for an invalid port.
    """
    text = os.environ.get(name, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise StackFailed(f"{name}={text} is not a port: use a number from 1 to 65535.")
    return int(text)


def free_ports(count: int) -> list[int]:
    """Return ports that no process listens on."""
    with contextlib.ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in found]


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Show a step of a long command and its duration: on one line of a terminal, else on two, between other output."""
    is_terminal = sys.stdout.isatty()
    print(f"  {title} ...", end="" if is_terminal else "\n", flush=True)
    started = time.monotonic()
    yield
    print(f"{'' if is_terminal else f'  {title}:'} {time.monotonic() - started:.1f} s", flush=True)


def check_port_free(name: str, port: int, target: str = "run") -> None:
    """Raise StackFailed if a process listens on the port, which the variable ``name`` sets."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise StackFailed(
                f"Port {port} is in use: choose another one, as in `make {target} {name}={port + 1}`."
            ) from None


def _last_line(log: Path) -> str:
    """Return the last line of a log; of a traceback, with the file and line of the error."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no log")
    # Chalice repeats the place of a SyntaxError in the message of its own error, without indentation.
    places = re.findall(r'^(?:  )?File "(.+)", line (\d+)', "\n".join(lines), re.MULTILINE)
    is_error = re.match(r"\w+(\.\w+)*(Error|Exception)\b", last)
    return f"{last} ({places[-1][0]}, line {places[-1][1]})" if is_error and places else last
