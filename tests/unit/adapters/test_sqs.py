"""Messages to SQS: a queue that is out of reach costs the caller less than a second."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from chalicelib.adapters import aws as aws_clients
from chalicelib.adapters import sqs

MESSAGE = {"enrollment": "e", "request_id": "r"}


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """SQS accepts connections, and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{server.getsockname()[1]}")
        aws_clients.reset()
        sqs.reset()
        yield server
        aws_clients.reset()


def count_connections(server: socket.socket) -> int:
    """Return how many connections were opened."""
    server.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_silent_queue_costs_less_than_a_second(silent_server: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    assert not sqs.send(sqs.EMAILS, MESSAGE)

    timeouts = sqs._impatient_client().meta.config
    attempts = count_connections(silent_server)
    assert attempts > 0
    assert attempts * (timeouts.connect_timeout + timeouts.read_timeout) < 1
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
