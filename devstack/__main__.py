"""``python -m devstack`` (make run): the whole system on this machine, until Ctrl-C."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO

from devstack.foreground import run_until_interrupted
from devstack.stack import Stack, StackFailed, port_setting, step
from infra.config import LOCAL, PROJECT
from infra.local_stage import HOME


def main() -> int:
    """Serve until Ctrl-C and return the exit status."""
    return run_until_interrupted(
        lambda: Stack(PROJECT, HOME, port_setting("PORT", 8000), port_setting("AWS_PORT", 4566)),
        _start,
        "EduFlow has stopped. Its data is kept in .local (`make clean` deletes it).",
    )


def _start(stack: Stack) -> None:
    with _function_log() as log:
        _start_all(stack, log)


@contextlib.contextmanager
def _function_log() -> Iterator[IO[bytes] | None]:
    """Yield where the functions log to: a pipe, shown after the start if a person looks at the terminal; else None."""
    if not sys.stdout.isatty():
        yield None
        return
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "wb") as log:
            yield log
    finally:
        # Ctrl-C is for this process: the view ends with the local AWS, whose output it shows.
        subprocess.Popen([sys.executable, "-m", "devstack.log_view"], cwd=PROJECT, stdin=reader, start_new_session=True)
        os.close(reader)


def _start_all(stack: Stack, log: IO[bytes] | None) -> None:
    started = time.monotonic()
    print("EduFlow")
    with step("Starting the local AWS and Valkey"):
        stack.start(log)
    with step("Creating tables, queues and keys (CloudFormation)"):
        stack.provision()
    with step("Deploying (chalice deploy)"):
        stack.deploy()
    with step("Waiting for the API's first response"):
        stack.warm_up()
    demo = HOME / "demo.txt"
    if not demo.exists():
        with step("Creating the demo data"):
            demo.write_text(_demo(stack))
    print(
        f"""
EduFlow is up after {time.monotonic() - started:.1f} s.

  API      {stack.url}/api/v1/
  Swagger  {stack.url}/api/docs/
  Emails   {stack.aws_url}/_ministack/ses/messages
  AWS      {stack.aws_url}

{demo.read_text()}
The log lines of the Lambda functions follow. Ctrl-C stops everything.
""",
        flush=True,
    )


def _demo(stack: Stack) -> str:
    command = [sys.executable, "manage.py", "demo", "--stage", LOCAL]
    finished = subprocess.run(command, cwd=PROJECT, env=stack.environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise StackFailed(f"The demo data could not be created: {finished.stderr.strip()}")
    return finished.stdout


if __name__ == "__main__":
    sys.exit(main())
