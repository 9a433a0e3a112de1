"""Which functions live beside the cache, and where that is: nobody else pays for a network."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3

from infra import provision

_LONGEST_SECONDS = 45 * 60
_POLL_SECONDS = 20

FUNCTIONS = {"api_handler": "policy-api.json", "delete_what_hangs_on": "policy-delete_what_hangs_on.json"}
"""Those that read or tell the cache, by Chalice's names, and their policies."""

RIGHTS = {
    # What Lambda needs to have an address in a network
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


@dataclass(frozen=True)
class Place:
    """Where the cache is, as values or as what CloudFormation makes values of."""

    subnet_ids: Any
    security_group_ids: Any
    cache_url: Any


NOWHERE = Place([], [], "")


def is_there(stage: str) -> bool:
    """Whether the stage has a network."""
    return provision.status(_stack(stage)) is not None


def leave(stage: str, say: Callable[[str], object]) -> None:
    """Take the functions out of the network, and wait until Lambda has given its addresses back: some 20 minutes.

    Before their roles are removed: with their rights Lambda does it
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html). Before the network is removed, which
    CloudFormation can't while there is one.

    Raises ProvisioningFailed.
    """
    client, ec2 = boto3.client("lambda"), boto3.client("ec2")
    for name in (f"eduflow-{stage}", f"eduflow-{stage}-delete_what_hangs_on"):
        with contextlib.suppress(client.exceptions.ResourceNotFoundException):
            client.get_waiter("function_updated_v2").wait(FunctionName=name)
            nowhere: dict[str, list[str]] = {"SubnetIds": [], "SecurityGroupIds": []}
            client.update_function_configuration(FunctionName=name, VpcConfig=nowhere)
    group = provision.outputs(_stack(stage)).get("SecurityGroupId")
    of_group = [{"Name": "group-id", "Values": [group or "none"]}]
    end = time.monotonic() + _LONGEST_SECONDS
    while left := len(ec2.describe_network_interfaces(Filters=of_group)["NetworkInterfaces"]):
        if time.monotonic() > end:
            raise provision.ProvisioningFailed(
                f"Lambda still has {left} addresses in the network of {stage}: try later."
            )
        say(f"  {left} addresses are still in use ...")
        time.sleep(_POLL_SECONDS)


def _stack(stage: str) -> str:
    return f"eduflow-{stage}-cache"


def deployed(stage: str) -> Place:
    """The place that infra/cache.yaml made.

    Raises ProvisioningFailed when it did not.
    """
    found = provision.outputs(_stack(stage))
    if "CacheUrl" not in found:
        raise provision.ProvisioningFailed(
            f"The stack {_stack(stage)} is not finished: run `make deploy STAGE={stage}`."
        )
    return Place(found["SubnetIds"].split(","), [found["SecurityGroupId"]], found["CacheUrl"])


def imported(stage: str) -> Place:
    """The same, as CloudFormation imports it from that stack."""

    def value(name: str) -> dict[str, Any]:
        return {"Fn::ImportValue": f"eduflow-{stage}-{name}"}

    return Place({"Fn::Split": [",", value("subnets")]}, [value("functions-group")], value("cache-url"))
