"""The VPC of a stage with a cache, and the functions that run in it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import boto3

from infra import cloudformation, config, lambda_state
from infra.functions import FUNCTIONS

_TIMEOUT_SECONDS = 45 * 60
_POLL_SECONDS = 20
_ENDPOINT_SERVICES = ("secretsmanager", "sqs")  # the interface endpoints in infra/templates/cache.yaml

ENI_PERMISSIONS = {
    # What Lambda needs to attach a function to a VPC
    # (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions).
    "Effect": "Allow",
    "Action": [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ],
    "Resource": ["*"],
}


def only_lambda_attaches(stage_name: str) -> dict[str, Any]:
    """Return the statement that lets Lambda use these permissions, and not the code of the stage's functions.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-best-practice
    """
    functions = f"arn:*:lambda:*:*:function:eduflow-{stage_name}*"
    return {
        "Effect": "Deny",
        "Action": ENI_PERMISSIONS["Action"],
        "Resource": ["*"],
        "Condition": {"ArnLike": {"lambda:SourceFunctionArn": [functions]}},
    }


@dataclass(frozen=True)
class VpcConfig:
    """Where the functions run and the URL of the cache: values, or CloudFormation functions that return them."""

    subnet_ids: Any
    security_group_ids: Any
    cache_url: Any


NO_VPC = VpcConfig([], [], "")


def exists(stage_name: str) -> bool:
    """Return whether the stage has a VPC."""
    return cloudformation.describe(_stack(stage_name)) is not None


def zones(stage: config.Stage) -> tuple[str, ...]:
    """Return the availability zones of the stage's VPC: the configured, the deployed, or two that have all endpoints.

    Not every zone has every endpoint service, and the names of zones differ between accounts. When the stack could
    not be created, the next deploy tries the next pair.

    Raises OperatorError when the region has no two such zones.
    """
    if stage.zones:
        return stage.zones
    description = cloudformation.describe(_stack(stage.name)) or {}
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in description.get("Parameters", [])}
    used = tuple(value for value in (parameters.get("ZoneA"), parameters.get("ZoneB")) if value)
    state = description.get("StackStatus", "")
    if description and not state.startswith(("ROLLBACK", "REVIEW", "DELETE")):
        return used
    pairs = [*combinations(_usable_zones(), 2)]
    if not pairs:
        raise config.OperatorError(
            "The region has no two availability zones with endpoints for Secrets Manager and SQS."
        )
    has_failed = used in pairs and state.startswith("ROLLBACK")
    return pairs[(pairs.index(used) + 1) % len(pairs)] if has_failed else pairs[0]


def detach_functions(stage_name: str, say: Callable[[str], object]) -> None:
    """Take the functions out of the VPC and wait until Lambda has deleted its network interfaces: some 20 minutes.

    Lambda deletes them with the permissions of the functions' roles
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html), so the roles are removed later.
    CloudFormation cannot delete the VPC while there are any.

    Raises OperatorError when it takes longer than 45 minutes.
    """
    client, ec2 = boto3.client("lambda"), boto3.client("ec2")
    for name in (function.lambda_name(stage_name) for function in FUNCTIONS if function.uses_cache):
        if lambda_state.wait_until_stable(name):
            client.update_function_configuration(FunctionName=name, VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    group = cloudformation.outputs(_stack(stage_name)).get("SecurityGroupId", "none")
    filters = [{"Name": "group-id", "Values": [group]}]
    end = time.monotonic() + _TIMEOUT_SECONDS
    while count := len(ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]):
        if time.monotonic() > end:
            raise config.OperatorError(
                f"Lambda still has {count} network interfaces in the VPC of {stage_name}: try later."
            )
        say(f"  {count} network interfaces are still in use ...")
        time.sleep(_POLL_SECONDS)


def deployed(stage_name: str) -> VpcConfig:
    """Return the VPC that infra/templates/cache.yaml created.

    Raises OperatorError when there is none.
    """
    outputs = cloudformation.outputs(_stack(stage_name))
    if "CacheUrl" not in outputs:
        raise config.OperatorError(
            f"The stack {_stack(stage_name)} is not complete: run `make deploy STAGE={stage_name}`."
        )
    return VpcConfig(outputs["SubnetIds"].split(","), [outputs["SecurityGroupId"]], outputs["CacheUrl"])


def imported(stage_name: str) -> VpcConfig:
    """Return the same as CloudFormation imports of that stack's outputs."""

    def value(name: str) -> dict[str, Any]:
        return {"Fn::ImportValue": f"eduflow-{stage_name}-{name}"}

    return VpcConfig({"Fn::Split": [",", value("subnets")]}, [value("functions-group")], value("cache-url"))


def _stack(stage_name: str) -> str:
    return f"eduflow-{stage_name}-cache"


def _usable_zones() -> list[str]:
    ec2 = boto3.client("ec2")
    services = [f"com.amazonaws.{ec2.meta.region_name}.{name}" for name in _ENDPOINT_SERVICES]
    details = ec2.describe_vpc_endpoint_services(ServiceNames=services)["ServiceDetails"]
    filters = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
    available = {zone["ZoneName"] for zone in ec2.describe_availability_zones(Filters=filters)["AvailabilityZones"]}
    return sorted(available.intersection(*(detail["AvailabilityZones"] for detail in details)))
