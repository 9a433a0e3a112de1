"""Settings of the test process itself: a stage of its own, and never a real AWS."""

import os
from pathlib import Path

import coverage
import hypothesis
import pytest

hypothesis.settings.register_profile("eduflow", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("eduflow")

_LEVELS = ("e2e", "integration", "unit")
# The modules that take longest, measured with --durations: they start first, so that no worker is left with one alone.
_LONGEST = (
    "test_faults.py", "test_deploy.py", "test_policies.py", "test_deletions.py", "test_recovery.py",
    "test_throttling.py", "test_devstack.py", "test_cache_faults.py", "test_course_reads.py", "test_audit_acts.py",
    "test_seed.py",
)  # fmt: skip
_measured_level = ""

os.environ.update(
    STAGE="test",
    MAIL_FROM="eduflow@example.org",
    API_URL="https://api.example.org",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_EC2_METADATA_DISABLED="true",
)
os.environ.pop("AWS_PROFILE", None)
os.environ.pop("AWS_ENDPOINT_URL", None)
os.environ.pop("CACHE_URL", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose implementations of AWS.

    `--backend localstack` runs the contract tests of tests/e2e on LocalStack instead of the embedded AWS, and
    `--items moto` the unit tests on moto's DynamoDB instead of the one in memory.
    """
    parser.addoption("--backend", choices=["embedded", "localstack"], default="embedded")
    parser.addoption("--items", choices=["memory", "moto"], default="memory")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order modules for parallel workers: by level, and the longest first.

    Each worker takes the next module (`--dist loadfile`), so that it starts a level's stack once.
    """
    items.sort(key=lambda item: _start_order(item.path))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Record, if coverage is measured, which level covers a line: the unit tests have a minimum of their own."""
    global _measured_level
    measurement, level = coverage.Coverage.current(), _LEVELS[_level(item.path)]
    if measurement and level != _measured_level:
        measurement.switch_context(level)
        _measured_level = level


def _level(module: Path) -> int:
    return next(number for number, name in enumerate(_LEVELS) if name in module.parts)


def _start_order(module: Path) -> tuple[int, int]:
    return _level(module), _LONGEST.index(module.name) if module.name in _LONGEST else len(_LONGEST)
