"""AWS in memory: the real template, in moto."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import keys, queue
from chalicelib.settings import settings
from infra.provision import provision


@pytest.fixture
def aws() -> Iterator[None]:
    """An empty stage ``test``, made by the template."""
    with mock_aws():
        with warnings.catch_warnings():  # moto makes neither secrets nor SES identities from a template
            warnings.filterwarnings("ignore", "Tried to parse AWS::(SecretsManager|SES)")
            provision("test", {"MailFrom": "eduflow@example.org"}, poll_seconds=0.01)
        boto3.client("secretsmanager").create_secret(
            Name=settings().signing_keys_secret, SecretString=json.dumps({"active": "first", "first": "x" * 64})
        )
        boto3.client("ses").verify_email_identity(EmailAddress="eduflow@example.org")
        keys._cached = None
        queue._url.cache_clear()
        yield


@pytest.fixture
def sent(aws: None) -> Any:
    """Takes what lies in the queue of enrollment emails."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="eduflow-enrollment-emails-test")["QueueUrl"]

    def take() -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return messages

    return take
