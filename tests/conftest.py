"""Settings of the test process itself: a stage of its own, and never a real AWS."""

import os

import pytest

os.environ.update(
    STAGE="test",
    MAIL_FROM="eduflow@example.org",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_EC2_METADATA_DISABLED="true",
)
os.environ.pop("AWS_PROFILE", None)
os.environ.pop("AWS_ENDPOINT_URL", None)
os.environ.pop("CACHE_URL", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--backend localstack` runs the contract tests of tests/e2e on LocalStack instead of the embedded AWS."""
    parser.addoption("--backend", choices=["embedded", "localstack"], default="embedded")
