"""Deferred work completes once under faults: a few enrollments here, thousands in the long runs."""

import subprocess
import sys

import pytest

from infra.config import PROJECT


def _run(*arguments: str) -> None:
    command = [sys.executable, "-m", "tests.fault_injection", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


@pytest.mark.timeout(600)
def test_killed_workers_and_failing_services_lose_nothing() -> None:
    _run("emails.killed", "emails.poison", "emails.sqs_refuses", "reports.killed", "--number", "40")


@pytest.mark.timeout(300)
def test_throttled_database_is_429_and_lost_responses_double_nothing() -> None:
    _run("api.reads_throttled", "api.writes_throttled", "api.every_third_response_lost", "--number", "6")


@pytest.mark.timeout(300)
def test_emails_about_accounts_are_sent_and_their_latest_link_works() -> None:
    faults = ("ses_is_mute", "sqs_refuses", "poison")
    _run(*(f"account_emails.{fault}" for fault in faults), "--number", "20")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["api", "emails", "account_emails", "deletions", "reports"])
def test_faults(kind: str) -> None:
    _run(kind)
