"""The clients of AWS services."""

from typing import Any

from chalicelib.adapters import aws as adapter
from chalicelib.adapters.dynamodb import connection


def test_user_agent_is_the_project(aws: None) -> None:
    adapter.reset()
    user_agents: list[str] = []
    dynamodb, sqs = connection().client, adapter.client("sqs")

    def record(request: Any, **_: Any) -> None:
        user_agents.append(request.headers["User-Agent"])

    for client in (dynamodb, sqs):
        client.meta.events.register("request-created", record)
    dynamodb.list_tables()
    sqs.list_queues()
    dynamodb.meta.events.unregister("request-created", record)
    adapter.reset()

    assert user_agents == ["eduflow", "eduflow"]
