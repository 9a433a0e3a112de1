"""Create or update a stage's CloudFormation stacks: all that Chalice does not create."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from infra import stages
from infra.stages import Stage

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "stack.yaml"
CACHE = FOLDER / "cache.yaml"
_POLL_SECONDS = 2.0
_LOCAL_POLL_SECONDS = 0.1
_LONGEST_SECONDS = 3600
_PROTECTED = "Protected"

# Where CloudFormation knows no other way on than to delete what is left. What holds no data is deleted.
_DEAD_ENDS = ("ROLLBACK_COMPLETE",)
_DEAD_ENDS_WITHOUT_DATA = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")


class ProvisioningFailed(stages.Refused):
    """CloudFormation could not make a stack; the message says which resource and why."""


@dataclass(frozen=True)
class Stack:
    """One CloudFormation stack of a stage."""

    name: str
    template: Path
    parameters: dict[str, str]
    is_wanted: bool = True


@dataclass(frozen=True)
class Change:
    """What a deploy does to one resource."""

    stack: str
    action: str
    resource: str
    kind: str
    replaces: bool

    def __str__(self) -> str:
        loss = "  REPLACES IT: what it holds is left behind or lost" if self.replaces else ""
        return f"{self.action:<7} {self.kind} {self.resource}{loss}"


@dataclass(frozen=True)
class Plan:
    """What has to change in a stack, made ready under an id; no change and no id if nothing has to."""

    stack: Stack
    changes: list[Change]
    change_set: str


def stacks(stage: Stage) -> list[Stack]:
    """The stacks of a stage, in the order in which they are made."""
    name, parameters = f"eduflow-{stage.name}", {"Stage": stage.name}
    told = {"AlarmEmail": stage.alarm_email, "MonthlyBudget": str(stage.monthly_budget)}
    own = {
        "MailFrom": stage.variables["MAIL_FROM"],
        "OwnSender": str(stage.own_sender).lower(),
        _PROTECTED: str(stage.name == stages.PRODUCTION).lower(),
    }
    return [
        Stack(name, TEMPLATE, parameters | own),
        Stack(f"{name}-cache", CACHE, parameters, is_wanted=stage.cache),
        Stack(f"{name}-monitoring", FOLDER / "monitoring.yaml", parameters | told, is_wanted=bool(stage.alarm_email)),
    ]


def plan(stack: Stack) -> Plan:
    """What would change if the stack were made as its template says; made ready for `apply`.

    Raises ProvisioningFailed.
    """
    client, state = boto3.client("cloudformation"), status(stack.name)
    if state in (_DEAD_ENDS if stack.template == TEMPLATE else _DEAD_ENDS_WITHOUT_DATA):
        remove(stack)
        state = None
    elif state and state.endswith("_FAILED"):
        raise ProvisioningFailed(
            f"The stack {stack.name} is {state}: {_reason(client, stack.name)}. Mend that in CloudFormation's console "
            "(continue the rollback, or delete the stack and keep its tables), then deploy again."
        )
    new = state in (None, "REVIEW_IN_PROGRESS")
    parameters = stack.parameters | ({_PROTECTED: "false"} if new and _PROTECTED in stack.parameters else {})
    try:
        made = client.create_change_set(
            StackName=stack.name,
            ChangeSetName=f"eduflow-{time.time_ns()}",  # one that a killed deploy left is in nobody's way
            ChangeSetType="CREATE" if new else "UPDATE",
            TemplateBody=stack.template.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        raise ProvisioningFailed(f"CloudFormation refused the stack {stack.name}: {error}") from error
    changes = [*_described(client, stack, made["Id"])]
    return Plan(stack, changes, made["Id"] if changes else "")


def apply(ready: Plan) -> None:
    """Do what was made ready, and wait for its end; nothing if there is nothing to do.

    Raises ProvisioningFailed.
    """
    if not ready.changes:
        return
    client, stack = boto3.client("cloudformation"), ready.stack
    is_new = status(stack.name) == "REVIEW_IN_PROGRESS"
    client.execute_change_set(StackName=stack.name, ChangeSetName=ready.change_set)
    _wait(client, stack, "stack_create_complete" if is_new else "stack_update_complete")
    if is_new and stack.parameters.get(_PROTECTED) == "true":
        apply(plan(stack))


def remove(stack: Stack) -> None:
    """Delete a stack, save what it is told to retain; nothing if there is none.

    Raises ProvisioningFailed.
    """
    if status(stack.name) is None:
        return
    client = boto3.client("cloudformation")
    client.delete_stack(StackName=stack.name)
    _wait(client, stack, "stack_delete_complete")


def status(name: str) -> str | None:
    """The state of a stack, once nothing is under way in it; None if there is no such stack."""
    client, end = boto3.client("cloudformation"), time.monotonic() + _LONGEST_SECONDS
    while True:
        try:
            [found] = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        state = str(found["StackStatus"])
        if state == "REVIEW_IN_PROGRESS" or not state.endswith("_IN_PROGRESS"):
            return None if state == "DELETE_COMPLETE" else state
        if time.monotonic() > end:
            raise ProvisioningFailed(f"The stack {name} is {state} since an hour: see its events.")
        time.sleep(_poll_seconds())


def outputs(name: str) -> dict[str, str]:
    """The outputs of a stack.

    Raises ProvisioningFailed if there is none.
    """
    try:
        [found] = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        raise ProvisioningFailed(f"There is no stack {name}: run `make deploy` first. ({error})") from error
    return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}


def provision(stage: Stage) -> None:
    """Make all stacks that the stage is to have.

    Raises ProvisioningFailed.
    """
    for stack in stacks(stage):
        if stack.is_wanted:
            apply(plan(stack))


def _described(client: Any, stack: Stack, change_set: str) -> Iterator[Change]:
    while (made := client.describe_change_set(ChangeSetName=change_set, StackName=stack.name))["Status"] in (
        "CREATE_PENDING",
        "CREATE_IN_PROGRESS",
    ):
        time.sleep(_poll_seconds())
    if made["Status"] == "FAILED":
        client.delete_change_set(ChangeSetName=change_set, StackName=stack.name)
        if "didn't contain changes" in made["StatusReason"] or "No updates" in made["StatusReason"]:
            return
        raise ProvisioningFailed(f"CloudFormation refused the stack {stack.name}: {made['StatusReason']}")
    while True:
        for change in (one["ResourceChange"] for one in made["Changes"]):
            replaces = change.get("Replacement") == "True" or change.get("PolicyAction") in (
                "Delete",
                "ReplaceAndDelete",
            )
            yield Change(stack.name, change["Action"], change["LogicalResourceId"], change["ResourceType"], replaces)
        if not (token := made.get("NextToken")):
            return
        made = client.describe_change_set(ChangeSetName=change_set, StackName=stack.name, NextToken=token)


def _wait(client: Any, stack: Stack, name: str) -> None:
    config = {"Delay": _poll_seconds(), "MaxAttempts": int(_LONGEST_SECONDS / _poll_seconds())}
    try:
        client.get_waiter(name).wait(StackName=stack.name, WaiterConfig=config)
    except WaiterError as error:
        raise ProvisioningFailed(
            f"CloudFormation failed on the stack {stack.name}: {_reason(client, stack.name)}"
        ) from error


def _reason(client: Any, name: str) -> str:
    for event in client.describe_stack_events(StackName=name)["StackEvents"]:
        if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason"):
            return f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
    return "see the stack's events"


def _poll_seconds() -> float:
    return _LOCAL_POLL_SECONDS if os.environ.get("AWS_ENDPOINT_URL") else _POLL_SECONDS


def main() -> None:
    """``python -m infra.provision STAGE``."""
    try:
        provision(stages.stage(sys.argv[1]))
    except (stages.Refused, BotoCoreError, ClientError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
