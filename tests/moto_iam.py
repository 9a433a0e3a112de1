"""Check of the policies with moto: it validates them and authorizes calls under a function's role."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.authorization import enable_iam_authentication
from moto.dynamodb.responses import DynamoHandler
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.sqs.responses import SQSResponse

REGION, ACCOUNT = "us-east-1", "123456789012"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_KEY = {"id": {"S": "x"}}
_UPDATE = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}}
_QUERY = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "x"}}}


class Role:
    """A function's role in moto."""

    def __init__(self, name: str, policy: dict[str, Any]) -> None:
        """Create the role. Raise ClientError if IAM rejects the policy."""
        iam = boto3.client("iam", region_name=REGION)
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
        sts = boto3.client("sts", region_name=REGION)
        credentials = sts.assume_role(RoleArn=arn, RoleSessionName="function")["Credentials"]
        self._policy = IAMPolicy(json.dumps(policy))
        self._session = boto3.Session(
            credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], REGION
        )

    def may(self, action: str, resource: str) -> bool:
        """Send a call under this role and return whether moto authorizes it."""
        service, operation = action.split(":")
        if operation == "ConditionCheckItem":  # a right, but no call: moto checks transactions as a whole
            arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:{resource}"
            return self._policy.is_action_permitted(action, arn) is PermissionResult.PERMITTED
        client = self._session.client(service)
        call = getattr(client, xform_name(operation))
        try:
            with enable_iam_authentication():
                call(**_parameters(service, operation, resource))
        except ClientError as error:
            return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] != 403)
        return True


@contextmanager
def moto_with_resources() -> Iterator[None]:
    """Mock of AWS that checks the resources of calls in addition to their actions."""
    with (
        mock_aws(),
        mock.patch.object(DynamoHandler, "_determine_resource", _table_arn, create=True),
        mock.patch.object(SecretsManagerResponse, "_determine_resource", _secret_arn, create=True),
        mock.patch.object(SQSResponse, "_determine_resource", _queue_arn),
    ):
        yield


def _table_arn(self: DynamoHandler) -> str:
    body = json.loads(self.raw_body)
    table = body.get("TableName") or next(iter(body["RequestItems"]))
    index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}{index}"


def _queue_arn(self: SQSResponse) -> str:
    body = json.loads(self.raw_body)
    queue = body.get("QueueName") or body["QueueUrl"].rpartition("/")[2]
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"


def _secret_arn(self: SecretsManagerResponse) -> str:
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{json.loads(self.raw_body)['SecretId']}"


def _parameters(service: str, operation: str, resource: str) -> dict[str, Any]:
    """Return parameters that the client accepts; the resource need not exist."""
    if service == "secretsmanager":
        return {"SecretId": resource.removeprefix("secret:")}
    if service == "sqs":
        url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{resource}"
        return {
            "GetQueueUrl": {"QueueName": resource},
            "SendMessage": {"QueueUrl": url, "MessageBody": "x"},
        }.get(operation, {"QueueUrl": url})
    table, _, index = resource.removeprefix("table/").partition("/index/")
    named = {"TableName": table} | ({"IndexName": index} if index else {})
    match operation:
        case "BatchGetItem":
            return {"RequestItems": {table: {"Keys": [_KEY]}}}
        case "BatchWriteItem":
            return {"RequestItems": {table: [{"DeleteRequest": {"Key": _KEY}}]}}
        case "PutItem":
            return named | {"Item": _KEY}
        case "Query":
            return named | _QUERY
        case "UpdateItem":
            return named | {"Key": _KEY} | _UPDATE
        case "GetItem" | "DeleteItem":
            return named | {"Key": _KEY}
    return named
