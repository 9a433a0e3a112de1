"""What an operator types, as far as it needs no AWS."""

import os
import subprocess
import sys

from tests.support import PROJECT


def _manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "EDUFLOW_PASSWORD"}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def test_a_stage_that_others_reach_has_no_demo_password() -> None:
    refused = _manage("demo", "--stage", "dev")

    assert refused.returncode == 1
    assert "EDUFLOW_PASSWORD" in refused.stderr


def test_an_unknown_stage_is_named_with_those_that_there_are() -> None:
    refused = _manage("rotate-keys", "--stage", "production")

    assert refused.returncode == 1
    assert "local, localstack, dev, prod" in refused.stderr
