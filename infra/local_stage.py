"""How commands on this machine reach the local stage: the AWS that `make run` starts."""

import contextlib
import fcntl
import json
import os
from pathlib import Path

from infra.config import PROJECT

HOST = "127.0.0.1"
DEMO_PASSWORD = "learn-with-eduflow"  # noqa: S105  of the local stage only; `make run` prints it
HOME = PROJECT / ".local"  # data, logs and state of a `make run`
STATE_FILE = "stack.json"
LOCK_FILE = "lock"  # locked while a `make run` uses the home; the kernel releases it when the process is killed


def aws_environment(aws_url: str) -> dict[str, str]:
    """Return the environment that makes all AWS clients use a local AWS, and no real account."""
    return {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def is_running(home: Path) -> bool:
    """Return whether a `make run` uses a home."""
    try:
        with (home / LOCK_FILE).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def running_environment(home: Path) -> dict[str, str] | None:
    """Return the environment for the AWS and the cache that run from a home, or None if none runs."""
    if not is_running(home):
        return None  # a killed stack leaves its state file
    with contextlib.suppress(OSError, ValueError):
        environment: dict[str, str] = json.loads((home / STATE_FILE).read_text())
        return environment
    return None
