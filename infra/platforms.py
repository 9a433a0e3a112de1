"""What the platforms that a stage can be deployed to cannot do, by name and with the reason.

The smoke test and the tests read these limits. docs/deploying.md shows them to users.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from infra import config

# The regions in which every service that a stage uses exists: the intersection of botocore's endpoints.
SUPPORTED_REGIONS = (
    "af-south-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2", "ap-southeast-1",
    "ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2",
    "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "me-south-1",
    "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip


class Feature(StrEnum):
    """Something that AWS does and another platform may not."""

    AUTHORIZERS = "Lambda authorizers"
    GATEWAY_RESPONSES = "gateway responses"
    CACHE_KEYS = "cache key parameters"
    RECURSION_CONFIG = "recursive loop configuration"
    TIME_TO_LIVE = "time to live of tables"
    TABLE_RECOVERY = "point-in-time recovery and deletion protection"


@dataclass(frozen=True)
class Platform:
    """Where stages run, and the features that it lacks, each with what happens instead."""

    name: str
    limits: Mapping[Feature, str] = field(default_factory=dict)


AWS = Platform("AWS")
EMBEDDED = Platform(
    "the embedded AWS",
    {
        Feature.TIME_TO_LIVE: "its CloudFormation ignores the setting",
        Feature.TABLE_RECOVERY: "its CloudFormation ignores both settings",
    },
)
LOCALSTACK = Platform(
    "LocalStack's free edition",
    {
        Feature.AUTHORIZERS: "it invokes no authorizer; the API verifies tokens itself",
        Feature.GATEWAY_RESPONSES: "it ignores gateway responses: an unknown path is 403 without problem details",
        Feature.CACHE_KEYS: "it drops cache keys, and has no stage cache",
        Feature.RECURSION_CONFIG: "it has no recursive loop detection",
        Feature.TABLE_RECOVERY: "it creates tables without recovery and deletion protection",
    },
)


def platform_of(stage_name: str) -> Platform:
    """Return the platform that a stage is deployed to."""
    return {config.LOCAL: EMBEDDED, config.LOCALSTACK: LOCALSTACK}.get(stage_name, AWS)
