"""The duration of requests for a new password: for an account, and for an unknown username.

    .venv/bin/python -m benchmarks.reset_timing

It starts a stack of its own, in which it holds back the email worker: that runs on this machine, too, and longer for
an account. Between rounds it deletes the rate limit of this address.
"""

import tempfile
from itertools import cycle
from pathlib import Path

import requests

from benchmarks.alternation import Alternation
from tests.clients import register, unique
from tests.stack import RunningStack, copy_project

ACCOUNTS = 10
ROUNDS = 20
PAIRS = 10  # of requests in each round: more than 15 are throttled


def main() -> None:
    """Start a stack and measure."""
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(copy_project(Path(folder)))
        stack.start()
        try:
            _disable_email_worker(stack)
            _measure(stack)
        finally:
            stack.stop()


def _disable_email_worker(stack: RunningStack) -> None:
    client = stack.aws("lambda")
    [source] = client.list_event_source_mappings(FunctionName="eduflow-local-emails")["EventSourceMappings"]
    client.update_event_source_mapping(UUID=source["UUID"], Enabled=False)


def _measure(stack: RunningStack) -> None:
    names = cycle([register(stack.api, "student").username for _ in range(ACCOUNTS)])

    def request_reset(name: str) -> requests.Response:
        return stack.api.call("POST", "/auth/password/forgot/", json={"username": name})

    resets = Alternation(
        202, {"account": lambda: request_reset(next(names)), "unknown user": lambda: request_reset(unique("student"))}
    )
    for _ in range(ROUNDS):
        stack.reset_throttling()
        for _ in range(PAIRS):
            resets.send_each()
    resets.print_medians()


if __name__ == "__main__":
    main()
