"""AWS in memory: the stage's template in moto."""

import copyreg
import json
import os
import pickle
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from threading import RLock
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.cloudformation.models import cloudformation_backends
from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.ses.models import ses_backends
from moto.sqs.models import sqs_backends

from chalicelib.adapters import sqs
from chalicelib.adapters.dynamodb import connection
from chalicelib.core import concurrency, retries
from chalicelib.core.config import settings
from chalicelib.security import signing_keys
from infra import stacks
from tests.stack import TEST_STAGE
from tests.unit import moto_patches
from tests.unit.fake_clock import FakeClock
from tests.unit.memory_dynamodb import items_in_memory

moto_patches.apply()
# mutmut tests each mutant in a fork of a process that has run tests. Without this, a mutant would wait forever for the
# threads of the pool, which a fork does not have, and count as killed.
os.register_at_fork(after_in_child=concurrency._pool.cache_clear)

FIRST_KEY = "1970-01-01T00:00:00Z"
_REGION = os.environ["AWS_DEFAULT_REGION"]


_BACKENDS: tuple[BackendDict[Any], ...] = (dynamodb_backends, secretsmanager_backends, ses_backends, sqs_backends)


@pytest.fixture
def aws(request: pytest.FixtureRequest) -> Iterator[None]:
    """An empty stage ``test``: the resources of data.yaml in moto; the items of its tables are where `--items` says."""
    stage = _resources()
    is_moto = request.config.getoption("--items") == "moto"
    items = moto_patches.short_path_for_items if is_moto else items_in_memory
    with mock_aws(config={"core": {"reset_boto3_session": False}}), items():
        for backends, resources in zip(_BACKENDS, pickle.loads(stage), strict=True):  # noqa: S301  own data
            backends[DEFAULT_ACCOUNT_ID][_REGION] = resources
        signing_keys.reset()
        sqs.queue_url.cache_clear()
        yield


@cache
def _resources() -> bytes:
    """Create the resources once for all tests, because that takes much longer than to copy them."""
    data, *_ = stacks.stage_stacks(TEST_STAGE)
    with mock_aws(), warnings.catch_warnings():  # moto does not create secrets from a template
        warnings.filterwarnings("ignore", "Tried to parse AWS::SecretsManager")
        cloudformation_backends[DEFAULT_ACCOUNT_ID][_REGION].create_stack(
            name=data.name, template=data.template.read_text("utf-8"), parameters=data.parameters
        )
        boto3.client("secretsmanager").create_secret(
            Name=settings().signing_keys_secret, SecretString=json.dumps({FIRST_KEY: "x" * 64})
        )
        boto3.client("ses").verify_email_identity(EmailAddress="eduflow@example.org")
        return _pickled([backends[DEFAULT_ACCOUNT_ID][_REGION] for backends in _BACKENDS])


def _pickled(backends: list[Any]) -> bytes:
    """Pickle resources of moto. Its queues have a lock, which only this pickler accepts: each copy gets its own."""
    copied = BytesIO()
    pickler = pickle.Pickler(copied)
    pickler.dispatch_table = copyreg.dispatch_table | {type(RLock()): lambda _: (RLock, ())}
    pickler.dump(backends)
    return copied.getvalue()


@pytest.fixture
def sent(aws: None) -> Any:
    """Takes what lies in the queue of emails."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="eduflow-emails-test")["QueueUrl"]

    def take() -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return messages

    return take


@dataclass(frozen=True)
class DynamoDbRequest:
    """One request to DynamoDB."""

    operation: str
    body: dict[str, Any]


@pytest.fixture
def dynamodb_requests(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[DynamoDbRequest]:
    """The requests to DynamoDB, as they are made. A test can clear the list."""
    made: list[DynamoDbRequest] = []
    _before_calls(monkeypatch, lambda name, body: made.append(DynamoDbRequest(name, json.loads(json.dumps(body)))))
    return made


@pytest.fixture
def dynamodb_calls(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations of these requests."""
    made: list[str] = []
    _before_calls(monkeypatch, lambda name, _: made.append(name))
    return made


def _before_calls(monkeypatch: pytest.MonkeyPatch, note: Callable[[str, dict[str, Any]], None]) -> None:
    client = connection().client
    make = client._make_api_call

    def call(operation: str, parameters: dict[str, Any]) -> Any:
        note(operation, parameters)
        return make(operation, parameters)

    monkeypatch.setattr(client, "_make_api_call", call)


def log_lines(caplog: pytest.LogCaptureFixture, logger: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the messages and fields of the lines of a logger."""
    return [(record.message, record.__dict__["extra"]) for record in caplog.records if record.name == logger]


@pytest.fixture
def retry_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of all waits between retries."""
    clock = FakeClock()
    monkeypatch.setattr(retries, "time", clock)
    return clock


@pytest.fixture
def fail_calls(aws: None, monkeypatch: pytest.MonkeyPatch, retry_clock: FakeClock) -> Callable[..., list[int]]:
    """Let the next calls of an operation fail, and return a list that grows with each call of it."""

    def arrange(operation: str, *failures: Exception) -> list[int]:
        client, left, calls = connection().client, [*failures], list[int]()
        make = client._make_api_call

        def call(name: str, parameters: dict[str, Any]) -> Any:
            if name == operation:
                calls.append(1)
                if left:
                    raise left.pop(0)
            return make(name, parameters)

        monkeypatch.setattr(client, "_make_api_call", call)
        return calls

    return arrange


def refused(operation: str, code: str, status: int = 400) -> ClientError:
    """Return DynamoDB's refusal of a call."""
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


def cancelled(*codes: str) -> ClientError:
    """Return DynamoDB's cancellation of a transaction, with the codes of its items."""
    reasons = [{"Code": code, "Message": code} for code in codes]
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": reasons,
    }
    return ClientError(response, "TransactWriteItems")
