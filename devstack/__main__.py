"""``python -m devstack`` (make run): all of EduFlow on this machine, until Ctrl-C."""

import signal
import subprocess
import sys
import time
from types import FrameType

from devstack.stack import HOME, PROJECT, STAGE, Stack, StackFailed, port_setting, step


class _Ended(Exception):
    """Somebody asked for the end: Ctrl-C or SIGTERM."""


def main() -> int:
    """Run until it is ended; the exit status."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        stack = Stack(PROJECT, HOME, port_setting("PORT", 8000), port_setting("AWS_PORT", 4566))
        try:
            _bring_up(stack)
            status = stack.wait()
            raise StackFailed(f"The local AWS ended by itself with status {status}; see {HOME / 'aws.log'}.")
        finally:
            _ignore_signals()
            stack.stop()
    except _Ended:
        print("\nEduFlow has ended; its data is kept in .local (make clean forgets it).")
        return 0
    except StackFailed as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


def _bring_up(stack: Stack) -> None:
    started = time.monotonic()
    print("EduFlow")
    with step("Starting the local AWS and Valkey"):
        stack.start()
    with step("Making tables, queues and keys (CloudFormation)"):
        stack.provision()
    with step("Deploying (chalice deploy)"):
        stack.deploy()
    with step("Waiting for the API's first answer"):
        stack.warm_up()
    demo = HOME / "demo.txt"
    if not demo.exists():
        with step("Filling in a demo school"):
            demo.write_text(_demo(stack))
    print(
        f"""
EduFlow is up after {time.monotonic() - started:.1f} s.

  API      {stack.url}/api/v1/
  Swagger  {stack.url}/api/docs/
  Mails    {stack.aws_url}/_ministack/ses/messages
  AWS      {stack.aws_url}

{demo.read_text()}
Below are the log lines of the Lambdas. Ctrl-C ends everything.
""",
        flush=True,
    )


def _demo(stack: Stack) -> str:
    command = [sys.executable, "manage.py", "demo", "--stage", STAGE]
    made = subprocess.run(command, cwd=PROJECT, env=stack.environment, capture_output=True, text=True, check=False)
    if made.returncode:
        raise StackFailed(f"The demo data could not be made: {made.stderr.strip()}")
    return made.stdout


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended


def _ignore_signals() -> None:
    """Let a second Ctrl-C not break off the saving of the data."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
