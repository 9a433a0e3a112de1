"""Records the AWS calls of each function as IAM actions, for the test that compares them with the policies.

ministack does not enforce policies. So each function signs with its own name as its key, and what
it calls is noted once: ``function action resource``, a line each.
"""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from ministack.core import lambda_runtime

FILE = "calls.txt"

_KEY = re.compile(r"Credential=(eduflow-[^/]+)/")
_TRANSACTED = {
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_seen: set[str] = set()


def patch_ministack(home: Path) -> None:
    """Patch ministack in this process, so that it records the calls."""
    credentials = lambda_runtime.execution_credentials

    def named_credentials(config: dict[str, Any]) -> dict[str, str]:
        named: dict[str, str] = credentials(config) | {"AWS_ACCESS_KEY_ID": config["FunctionName"]}
        return named

    lambda_runtime.execution_credentials = named_credentials
    for service in ("dynamodb", "sqs", "secretsmanager", "ses"):
        _listen(import_module(f"ministack.services.{service}"), home / FILE)


def _listen(service: Any, file: Path) -> None:
    handle = service.handle_request

    async def handle_and_note(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        if caller := _KEY.search(headers.get("authorization", "")):
            for right in _rights(headers.get("x-amz-target", ""), body):
                _note(f"{caller[1]} {right}", file)
        return await handle(method, path, headers, body, query)

    service.handle_request = handle_and_note


def _note(line: str, file: Path) -> None:
    if line not in _seen:
        _seen.add(line)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")


def _rights(target: str, body: bytes) -> Iterator[str]:
    """Yield the IAM actions of a call with their resources."""
    if not target:  # the query protocol: SES
        form = dict(parse_qsl(body.decode()))
        if form.get("Action", "").startswith("Send"):
            yield f"ses:{form['Action']} identity/{form['Source']}"
        return
    service, _, operation = target.partition(".")
    asked = json.loads(body or b"{}")
    if service.startswith("DynamoDB"):
        yield from _on_tables(operation, asked)
    elif service == "AmazonSQS":
        queue = asked.get("QueueName") or asked.get("QueueUrl", "").rpartition("/")[2]
        yield f"sqs:{operation.removesuffix('Batch')} {queue}"
    elif service == "secretsmanager":
        yield f"secretsmanager:{operation} secret:{asked['SecretId']}-xxxxxx"


def _on_tables(operation: str, asked: dict[str, Any]) -> Iterator[str]:
    if operation == "TransactWriteItems":
        for item in asked["TransactItems"]:
            [(kind, one)] = item.items()
            yield f"dynamodb:{_TRANSACTED[kind]} table/{one['TableName']}"
    elif "RequestItems" in asked:
        for table in asked["RequestItems"]:
            yield f"dynamodb:{operation} table/{table}"
    else:
        index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
        yield f"dynamodb:{operation} table/{asked['TableName']}{index}"
