"""Unit tests of services once more, on the tables and queues of a local AWS: in CI, and by `make integration`."""

from pathlib import Path

import boto3
import pytest

from tests.stage_schemas import stage_schemas
from tests.unit.conftest import dynamodb_calls, dynamodb_requests, fail_calls, retry_clock, sent
from tests.unit.services.conftest import full_course, owner, students

__all__ = [
    "dynamodb_calls", "dynamodb_requests", "fail_calls", "full_course", "owner", "retry_clock", "sent", "students",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests: `make test` leaves them out, because they take a minute."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("repeated")


@pytest.fixture
def aws(local_aws: None) -> None:
    """The stage, emptied."""
    queues, client = boto3.client("sqs"), boto3.client("dynamodb")
    for url in queues.list_queues()["QueueUrls"]:
        queues.purge_queue(QueueUrl=url)
    for name, schema in stage_schemas().items():
        for page in client.get_paginator("scan").paginate(TableName=name):
            for item in page["Items"]:
                client.delete_item(TableName=name, Key={key: item[key] for key in schema.keys})
