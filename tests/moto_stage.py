"""The resources in moto that `chalice deploy` creates, as far as the other steps of a deploy use them."""

import io
import json
import zipfile
from collections.abc import Collection

import boto3

from infra.functions import API, FUNCTIONS, Function

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def create(stage: str, functions: Collection[Function] = FUNCTIONS) -> str:
    """Create functions with their roles and triggers, and the REST API; return its ID."""
    for function in functions:
        create_function(function.lambda_name(stage), f"eduflow-{stage}-{function.name}")
        if function.queue:
            _create_trigger(f"eduflow-{function.queue}-{stage}", function.lambda_name(stage))
        if function.is_scheduled:
            rule = f"eduflow-{stage}-{function.name}-event"
            boto3.client("events").put_rule(Name=rule, ScheduleExpression="rate(1 hour)")
    boto3.client("logs").create_log_group(logGroupName=f"/eduflow/{stage}/access")
    return _create_api(stage)


def create_function(name: str, role_name: str) -> None:
    """Create a function with its role."""
    role = boto3.client("iam").create_role(RoleName=role_name, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("app.py", "")
    boto3.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role["Arn"],
        Handler="app.app",
        Code={"ZipFile": archive.getvalue()},
    )


def _create_trigger(queue: str, function: str) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName=function)


def _create_api(stage: str) -> str:
    client = boto3.client("apigateway")
    api = str(client.create_rest_api(name="eduflow")["id"])
    root = client.get_resources(restApiId=api)["items"][0]["id"]
    client.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    function = f"arn:aws:lambda:eu-west-1:123456789012:function:{API.lambda_name(stage)}"
    client.put_integration(
        restApiId=api,
        resourceId=root,
        httpMethod="GET",
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{function}/invocations",
    )
    client.create_deployment(restApiId=api, stageName=stage)
    return api
