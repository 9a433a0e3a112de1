"""Which functions live beside the cache, and where that is: nobody else pays for a network."""

from dataclasses import dataclass
from typing import Any

from infra import provision

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


def deployed(stage: str) -> Place:
    """The place that infra/cache.yaml made.

    Raises ProvisioningFailed when it did not.
    """
    found = provision.outputs(f"eduflow-{stage}-cache")
    return Place(found["SubnetIds"].split(","), [found["SecurityGroupId"]], found["CacheUrl"])


def imported(stage: str) -> Place:
    """The same, as CloudFormation imports it from that stack."""

    def value(name: str) -> dict[str, Any]:
        return {"Fn::ImportValue": f"eduflow-{stage}-{name}"}

    return Place({"Fn::Split": [",", value("subnets")]}, [value("functions-group")], value("cache-url"))
