"""Valid and invalid requests that schemathesis generates from the OpenAPI document, for each role."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import Actor, log_in
from tests.stack import RunningStack

# They would end the very session that the run is made with.
_ENDING = ["erase_me", "change_password", "change_user", "delete_user"]
_CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.parametrize("examples", [3, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(1500)])])
@pytest.mark.parametrize("name", ["admin", "grace.h", "ada", ""])
def test_generated_requests_match_the_schema(stack: RunningStack, name: str, examples: int, tmp_path: Path) -> None:
    if examples == 3 and name not in ("admin", ""):
        pytest.skip("the short run is for who may do most, and who may do least")
    actor = log_in(stack.api, name, "learn-with-eduflow") if name else Actor(stack.api)
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(_CONFIG)]
    command += ["run", f"{stack.api.url}/api/schema/", "--checks", "all", "--max-examples", str(examples)]
    # One worker: threads that parse Python code at once fail before Python 3.11.8
    # (https://github.com/python/cpython/issues/106905).
    command += ["--workers", "1", "--continue-on-failure", "--no-color", "--warnings", "off"]
    command += [f"--exclude-operation-id={operation}" for operation in _ENDING]
    if actor.token:
        command += ["--header", f"Authorization: Bearer {actor.token}"]
    if examples == 3:
        command += ["--phases", "examples,coverage,fuzzing", "--seed", "2026"]  # the same requests every time

    stack.reset_throttling()
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    stack.reset_throttling()  # it is all from one address

    assert run.returncode == 0, run.stdout[-20_000:]
