"""Faults lose and double nothing: a few enrollments here, thousands in the long runs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.config import PROJECT


def _run(*arguments: str) -> None:
    command = [sys.executable, "-m", "tests.fault_injection", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


@pytest.mark.timeout(900)
def test_faults_lose_and_double_nothing() -> None:
    """Workers are killed, services reject calls or are down, DynamoDB throttles, indexes lag, and chains are cut.

    Two runs at once, because each starts a stack of its own and mostly waits: for messages that return, and for leases.
    """
    workers = ["emails.killed", "emails.poison", "emails.outage", "emails.indexes_lag", "reports.killed"]
    workers += [f"account_emails.{fault}" for fault in ("ses_is_mute", "sqs_refuses", "poison")]
    workers += ["deletions.chain_cut"]
    requests = ["places.killed", "places.conflicts", "opening"]  # first: they wait until the queues are empty
    requests += ["idempotency.killed", "idempotency.every_third_response_lost"]
    requests += [f"api.{fault}" for fault in ("reads_throttled", "writes_throttled", "every_third_response_lost")]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(_run, *faults, "--short") for faults in (workers, requests)]
    for run in runs:
        run.result()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "kind", ["api", "idempotency", "emails", "account_emails", "deletions", "reports", "places", "opening"]
)
def test_faults(kind: str) -> None:
    _run(kind)
