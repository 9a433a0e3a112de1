"""Create or update a stage's CloudFormation stack: all that Chalice does not create."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError

TEMPLATE = Path(__file__).with_name("stack.yaml")
_POLL_SECONDS = 2.0
_LOCAL_POLL_SECONDS = 0.1
_LONGEST_SECONDS = 1800


class ProvisioningFailed(RuntimeError):
    """CloudFormation could not make the stack; the message says which resource and why."""


def provision(stage: str, parameters: dict[str, str], poll_seconds: float = _POLL_SECONDS) -> None:
    """Make the stage's stack as the template says; nothing if it is so already.

    Raises ProvisioningFailed.
    """
    cloudformation = boto3.client("cloudformation")
    name = f"eduflow-{stage}"
    request = {
        "StackName": name,
        "TemplateBody": TEMPLATE.read_text(encoding="utf-8"),
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in ({"Stage": stage} | parameters).items()
        ],
    }
    exists = _exists(cloudformation, name)
    change: Callable[..., Any] = cloudformation.update_stack if exists else cloudformation.create_stack
    try:
        change(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return
        raise ProvisioningFailed(f"CloudFormation refused the stack {name}: {error}") from error
    waiter = cloudformation.get_waiter("stack_update_complete" if exists else "stack_create_complete")
    config = {"Delay": poll_seconds, "MaxAttempts": int(_LONGEST_SECONDS / poll_seconds)}
    try:
        waiter.wait(StackName=name, WaiterConfig=config)
    except WaiterError as error:
        raise ProvisioningFailed(
            f"CloudFormation failed on the stack {name}: {_reason(cloudformation, name)}"
        ) from error


def _exists(cloudformation: Any, name: str) -> bool:
    try:
        cloudformation.describe_stacks(StackName=name)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _reason(cloudformation: Any, name: str) -> str:
    for event in cloudformation.describe_stack_events(StackName=name)["StackEvents"]:
        if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason"):
            return f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
    return "see the stack's events"


def main() -> None:
    """``python -m infra.provision STAGE``."""
    stage = sys.argv[1]
    config = json.loads((TEMPLATE.parents[1] / ".chalice" / "config.json").read_text(encoding="utf-8"))
    variables = config["environment_variables"] | config["stages"][stage]["environment_variables"]
    poll_seconds = _LOCAL_POLL_SECONDS if os.environ.get("AWS_ENDPOINT_URL") else _POLL_SECONDS
    try:
        provision(stage, {"MailFrom": variables["MAIL_FROM"]}, poll_seconds)
    except ProvisioningFailed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
