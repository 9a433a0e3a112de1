"""Messages to SQS: a queue that is out of reach costs the caller less than a second."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from chalicelib.adapters import aws as aws_clients
from chalicelib.adapters import sqs

MESSAGE = {"enrollment": "e", "request_id": "r"}


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """SQS accepts connections, and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{server.getsockname()[1]}")
        aws_clients.reset()
        sqs.reset()
        yield
        aws_clients.reset()


def test_silent_queue_costs_less_than_a_second(silent_server: None, caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()

    assert not sqs.send(sqs.EMAILS, MESSAGE)

    assert time.monotonic() - started < 1
    assert [record.message for record in caplog.records] == ["SQS did not accept a message"]


def test_closed_connection_is_opened_again(aws: None, sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client, closed = sqs._impatient_client(), [ConnectionClosedError(endpoint_url="sqs")]
    send = client.send_message

    def send_when_open(**request: Any) -> Any:
        if closed:
            raise closed.pop()
        return send(**request)

    monkeypatch.setattr(client, "send_message", send_when_open)

    assert sqs.send(sqs.EMAILS, MESSAGE)
    assert [json.loads(message["Body"]) for message in sent()] == [MESSAGE]
