"""Faults lose and double nothing: a few enrollments here, thousands in the long runs."""

import subprocess
import sys

import pytest

from infra.config import PROJECT


def _run(*arguments: str) -> None:
    command = [sys.executable, "-m", "tests.fault_injection", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


@pytest.mark.timeout(900)
def test_faults_lose_and_double_nothing() -> None:
    """Workers are killed, services reject calls or do not respond, and DynamoDB throttles.

    One run, because each run starts a stack of its own.
    """
    emails = ["emails.killed", "emails.poison", "emails.sqs_refuses", "reports.killed"]
    emails += [f"account_emails.{fault}" for fault in ("ses_is_mute", "sqs_refuses", "poison")]
    requests = [f"api.{fault}" for fault in ("reads_throttled", "writes_throttled", "every_third_response_lost")]
    requests += ["idempotency.killed", "idempotency.every_third_response_lost"]
    _run(*emails, *requests, "--short")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["api", "idempotency", "emails", "account_emails", "deletions", "reports"])
def test_faults(kind: str) -> None:
    _run(kind)
