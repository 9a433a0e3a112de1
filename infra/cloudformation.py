"""Plan and apply changes of CloudFormation stacks.

A plan is a change set: what it shows is what ``apply`` does.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from chalicelib.core.config import PROJECT
from infra import config, retained_tables

STAGE_TAG = "eduflow:stage"
PROTECTED = "Protected"  # the parameter that turns deletion protection on

_POLL_SECONDS = 2.0
_LOCAL_POLL_SECONDS = 0.1
_TIMEOUT_SECONDS = 3600

# States that a stack can only leave by being deleted. A stack without data is deleted in the others, too.
_DEAD_ENDS = ("ROLLBACK_COMPLETE",)
_DEAD_ENDS_WITHOUT_DATA = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")


class ProvisioningError(config.OperatorError):
    """CloudFormation could not create or update a stack; the message names the resource and the reason."""


@dataclass(frozen=True)
class Stack:
    """One CloudFormation stack of a stage."""

    name: str
    template: Path
    parameters: dict[str, str]
    is_wanted: bool = True
    follows_functions: bool = False  # whether it is applied after `chalice deploy`
    region: str | None = None  # of another region than the stage's
    has_data: bool = False  # whether it is never deleted to repair it

    @property
    def is_ready(self) -> bool:
        """Whether all its parameters are known: the API's ID is not before the first `chalice deploy`."""
        return self.parameters.get("RestApiId") != ""

    def client(self) -> Any:
        """Return the CloudFormation client of its region."""
        return boto3.client("cloudformation", region_name=self.region)


@dataclass(frozen=True)
class Change:
    """What a plan does to one resource."""

    stack: str
    action: str
    resource: str
    resource_type: str
    replaces: bool

    def __str__(self) -> str:
        warning = "  REPLACES IT: its data is left behind or lost" if self.replaces else ""
        return f"{self.action:<7} {self.resource_type} {self.resource}{warning}"


@dataclass(frozen=True)
class Plan:
    """The changes of a stack and the change set that makes them; both are empty if nothing changes."""

    stack: Stack
    changes: list[Change]
    change_set: str
    is_import: bool = False


def plan(stack: Stack) -> Plan:
    """Create the change set of a stack, without executing it.

    A stack that failed at its creation is deleted first. Tables that an earlier stack of the stage left are
    imported: then the plan holds the imports alone, and the rest follows once they are done.

    Raises ProvisioningError.
    """
    state = status(stack)
    if state in (_DEAD_ENDS if stack.has_data else _DEAD_ENDS_WITHOUT_DATA):
        remove(stack)
        state = None
    elif state and state.endswith("_FAILED"):
        raise ProvisioningError(
            f"The stack {stack.name} is {state}: {_failure_reason(stack)}. Continue its rollback in the CloudFormation "
            "console, or delete it and keep its tables; then deploy again."
        )
    is_new = state in (None, "REVIEW_IN_PROGRESS")
    request = {
        "StackName": stack.name,
        "ChangeSetName": f"{PROJECT}-{time.time_ns()}",  # unique, so that one from a killed deploy cannot interfere
        "ChangeSetType": "CREATE" if is_new else "UPDATE",
        "TemplateBody": stack.template.read_text(encoding="utf-8"),
        "Parameters": _parameters(stack, is_new),
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Tags": [{"Key": STAGE_TAG, "Value": stack.parameters.get("Stage", "all")}],
    }
    tables = retained_tables.find(stack.name, stack.template, stack.parameters, is_new)
    if tables:
        request |= retained_tables.import_request(stack.name, stack.template, tables, is_new)
        del request["Tags"]  # an import may not add any; the update that follows does
    try:
        change_set = stack.client().create_change_set(**request)["Id"]
    except ClientError as error:
        raise ProvisioningError(f"CloudFormation rejected the stack {stack.name}: {error}") from error
    changes = [*_describe_changes(stack, change_set)]
    return Plan(stack, changes, change_set if changes else "", bool(tables))


def apply(planned: Plan) -> None:
    """Execute a plan and wait for its end; do nothing if it has no changes.

    Raises ProvisioningError.
    """
    if not planned.changes:
        return
    stack = planned.stack
    is_new = status(stack) == "REVIEW_IN_PROGRESS"
    stack.client().execute_change_set(StackName=stack.name, ChangeSetName=planned.change_set)
    if planned.is_import:
        _wait(stack, "stack_import_complete")
        apply(plan(stack))
        return
    _wait(stack, "stack_create_complete" if is_new else "stack_update_complete")
    if is_new and stack.parameters.get(PROTECTED) == "true":
        apply(plan(stack))


def discard(planned: Plan) -> None:
    """Delete the change set of a plan, and the empty stack that a change set of a new stack creates."""
    if planned.changes:
        client = planned.stack.client()
        client.delete_change_set(StackName=planned.stack.name, ChangeSetName=planned.change_set)
        if status(planned.stack) == "REVIEW_IN_PROGRESS":
            client.delete_stack(StackName=planned.stack.name)


def remove(stack: Stack) -> None:
    """Delete a stack except for the resources that its template retains; do nothing if there is none.

    Raises ProvisioningError.
    """
    if status(stack) is not None:
        stack.client().delete_stack(StackName=stack.name)
        _wait(stack, "stack_delete_complete")


def status(stack: Stack) -> str | None:
    """Return the state of a stack once no operation is in progress; None if there is no such stack.

    Raises ProvisioningError when an operation takes longer than an hour.
    """
    end = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        description = _describe(stack.client(), stack.name)
        if description is None:
            return None
        state = str(description["StackStatus"])
        if state == "REVIEW_IN_PROGRESS" or not state.endswith("_IN_PROGRESS"):
            return None if state == "DELETE_COMPLETE" else state
        if time.monotonic() > end:
            raise ProvisioningError(f"The stack {stack.name} has been {state} for an hour: see its events.")
        time.sleep(_poll_seconds())


def describe(name: str) -> dict[str, Any] | None:
    """Return the description of a stack of the stage's region, or None if there is none."""
    return _describe(boto3.client("cloudformation"), name)


def outputs(name: str) -> dict[str, str]:
    """Return the outputs of a stack; none if there is no such stack."""
    description = describe(name) or {}
    return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}


def _describe(client: Any, name: str) -> dict[str, Any] | None:
    try:
        [description] = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return dict(description)


def _parameters(stack: Stack, is_new: bool) -> list[dict[str, str]]:
    # Protected from the start, a creation that fails could not be rolled back.
    unprotected = {PROTECTED: "false"} if is_new and PROTECTED in stack.parameters else {}
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in (stack.parameters | unprotected).items()]


def _describe_changes(stack: Stack, change_set: str) -> Iterator[Change]:
    client = stack.client()
    while (page := client.describe_change_set(ChangeSetName=change_set, StackName=stack.name))["Status"] in (
        "CREATE_PENDING",
        "CREATE_IN_PROGRESS",
    ):
        time.sleep(_poll_seconds())
    if page["Status"] == "FAILED":
        client.delete_change_set(ChangeSetName=change_set, StackName=stack.name)
        if "didn't contain changes" in page["StatusReason"] or "No updates" in page["StatusReason"]:
            return
        raise ProvisioningError(f"CloudFormation rejected the stack {stack.name}: {page['StatusReason']}")
    while True:
        for change in (item["ResourceChange"] for item in page["Changes"]):
            replaces = change.get("Replacement") == "True" or change.get("PolicyAction") in (
                "Delete",
                "ReplaceAndDelete",
            )
            yield Change(stack.name, change["Action"], change["LogicalResourceId"], change["ResourceType"], replaces)
        if not (token := page.get("NextToken")):
            return
        page = client.describe_change_set(ChangeSetName=change_set, StackName=stack.name, NextToken=token)


def _wait(stack: Stack, waiter: str) -> None:
    waiter_config = {"Delay": _poll_seconds(), "MaxAttempts": int(_TIMEOUT_SECONDS / _poll_seconds())}
    try:
        stack.client().get_waiter(waiter).wait(StackName=stack.name, WaiterConfig=waiter_config)
    except WaiterError as error:
        raise ProvisioningError(f"CloudFormation failed on the stack {stack.name}: {_failure_reason(stack)}") from error


def _failure_reason(stack: Stack) -> str:
    """Return the first failure of the last operation.

    Events come newest first. After a failure CloudFormation cancels what else is in progress, which it reports
    as failed, too.
    """
    failures = [
        f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in _last_operation(stack)
        if event["ResourceStatus"].endswith("_FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "cancelled").lower()
    ]
    return failures[-1] if failures else "see the stack's events"


def _last_operation(stack: Stack) -> Iterator[dict[str, Any]]:
    starts = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"}
    pages = stack.client().get_paginator("describe_stack_events").paginate(StackName=stack.name)
    for event in (event for page in pages for event in page["StackEvents"]):
        yield event
        if event.get("PhysicalResourceId") == event["StackId"] and event["ResourceStatus"] in starts:
            return


def _poll_seconds() -> float:
    return _LOCAL_POLL_SECONDS if os.environ.get("AWS_ENDPOINT_URL") else _POLL_SECONDS
