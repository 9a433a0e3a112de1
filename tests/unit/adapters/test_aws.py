"""The clients of AWS services."""

from typing import Any

import botocore.session
from pynamodb.attributes import BinaryAttribute, BinarySetAttribute

from chalicelib.adapters import aws as adapter
from chalicelib.adapters.dynamodb import connection
from chalicelib.core.clock import timestamp
from chalicelib.core.roles import Role
from chalicelib.models.base import Table
from chalicelib.models.courses import Course
from tests.factories import create_course, create_user


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


def test_items_are_parsed_as_by_botocore(aws: None) -> None:
    course = create_course(create_user(Role.INSTRUCTOR), capacity=3, waitlist=2)
    Course(course.id).update([Course.stale_keywords.set({"a", "b"}), Course.deleted_at.set(timestamp())])
    own, botocores = connection().client, botocore.session.get_session().create_client("dynamodb")

    def read(client: Any) -> list[Any]:
        key, table = {"id": {"S": course.id}}, Course.Meta.table_name
        reads = [
            client.get_item(TableName=table, Key=key)["Item"],
            client.batch_get_item(RequestItems={table: {"Keys": [key]}})["Responses"],
            client.scan(TableName=table)["Items"],
            client.query(
                TableName=table, KeyConditionExpression="id = :id", ExpressionAttributeValues={":id": key["id"]}
            )["Items"],
        ]
        types = {name for value in reads[0].values() for name in value}
        assert types == {"S", "N", "BOOL", "SS"}
        return reads

    assert read(own) == read(botocores)


def test_no_table_has_binary_values() -> None:
    """Those would not be decoded."""
    attributes = [attribute for table in Table.__subclasses__() for attribute in table.get_attributes().values()]

    assert attributes
    assert not any(isinstance(attribute, BinaryAttribute | BinarySetAttribute) for attribute in attributes)
