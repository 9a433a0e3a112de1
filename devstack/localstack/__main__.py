"""``python -m devstack.localstack`` (make run BACKEND=localstack): the whole system on LocalStack, until Ctrl-C."""

import subprocess
import sys
import time

from devstack.foreground import run_until_interrupted
from devstack.localstack import environment
from devstack.localstack.environment import LocalStack
from devstack.stack import StackFailed, port_setting, step
from infra import config
from infra.config import PROJECT
from infra.local_stage import DEMO_PASSWORD, HOME

_ADDRESS_PREFIX = "Deployed: "


def main() -> int:
    """Serve until Ctrl-C and return the exit status."""
    return run_until_interrupted(
        lambda: LocalStack(HOME / "localstack-run", port_setting("AWS_PORT", 4566)),
        _start,
        "LocalStack has stopped. Its free edition keeps no data.",
    )


def _start(localstack: LocalStack) -> None:
    started = time.monotonic()
    print("EduFlow on LocalStack")
    python = environment.install(HOME / "localstack")
    with step("Starting LocalStack and Valkey"):
        localstack.start(python, sys.stdout.buffer)
    with step("Deploying (make deploy STAGE=localstack)"):
        deployed = _run(localstack, "-m", "infra.deploy", "deploy", config.LOCALSTACK, "--yes")
    with step("Creating the demo data"):
        demo = _run(localstack, "manage.py", "demo", "--stage", config.LOCALSTACK)
    [address] = [line for line in deployed.splitlines() if line.startswith(_ADDRESS_PREFIX)]
    print(
        f"""
EduFlow is up after {time.monotonic() - started:.1f} s.

  API      {address.removeprefix(_ADDRESS_PREFIX)}
  Emails   {localstack.url}/_aws/ses
  AWS      {localstack.url}

{demo}
The log lines of the Lambda functions follow. Ctrl-C stops everything.
""",
        flush=True,
    )


def _run(localstack: LocalStack, *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=localstack.environment | {"EDUFLOW_PASSWORD": DEMO_PASSWORD},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # Ctrl-C is for the parent, which ends LocalStack in order
    )
    if finished.returncode:
        raise StackFailed(f"`python {' '.join(arguments)}` failed:\n{finished.stdout}{finished.stderr}".rstrip())
    return finished.stdout


if __name__ == "__main__":
    sys.exit(main())
