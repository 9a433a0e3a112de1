"""The stage's settings: what neither Chalice nor the API's definition can carry.

They are said once, as a CloudFormation template says them, and set in two ways: by API Gateway's
patches after `chalice deploy`, or by the template of `chalice package`.
"""

import contextlib
import json
import time
from collections.abc import Collection, Mapping
from typing import Any

import boto3

from infra import stages
from infra.gateway import STAGE_CACHED

MAX_CACHE_SECONDS = 60  # how old the public list may be
LOG_DAYS = 30
_SETTLING_SECONDS = 120
RATE_PER_SECOND = 2000
BURST = 4000
"""What the stage lets through, beyond which API Gateway answers 429: below what a new account may."""

# One object a line, in the shape of the functions' own lines, so that one filter finds both.
ACCESS_LOG = json.dumps(
    {
        "timestamp": "$context.requestTime",
        "level": "INFO",
        "logger": "gateway.access",
        "message": "$context.httpMethod $context.path $context.status",
        "request_id": "$context.requestId",
        "extra": {
            "ip": "$context.identity.sourceIp",
            "user_agent": "$context.identity.userAgent",
            "user_id": "$context.authorizer.principalId",
            "duration_ms": "$context.responseLatency",
            "function_ms": "$context.integration.latency",
            "length": "$context.responseLength",
            "gateway_error": "$context.error.responseType",
        },
    }
)

_METHOD_PATCHES = {
    "CachingEnabled": "caching/enabled",
    "CacheTtlInSeconds": "caching/ttlInSeconds",
    "CacheDataEncrypted": "caching/dataEncrypted",
    "ThrottlingRateLimit": "throttling/rateLimit",
    "ThrottlingBurstLimit": "throttling/burstLimit",
}


class BadStageSettings(stages.Refused):
    """A stage's settings contradict what the API promises, or what they need is not there."""


def properties(variables: Mapping[str, str], access_log: Any) -> dict[str, Any]:
    """The stage's settings as a template says them, by the environment variables of its functions.

    STAGE_CACHE_SIZE (GB, billed by the hour; without it there is no cache) and STAGE_CACHE_SECONDS
    say how the routes that may be kept are.

    Raises BadStageSettings.
    """
    throttling = {"ThrottlingRateLimit": RATE_PER_SECOND, "ThrottlingBurstLimit": BURST}
    everything = {"ResourcePath": "/*", "HttpMethod": "*", "CachingEnabled": False} | throttling
    found = {
        "CacheClusterEnabled": False,
        "AccessLogSetting": {"DestinationArn": access_log, "Format": ACCESS_LOG},
        "MethodSettings": [everything],
    }
    size = variables.get("STAGE_CACHE_SIZE", "")
    if not size or variables.get("ENABLE_CACHE", "true").lower() == "false":
        return found
    seconds = variables.get("STAGE_CACHE_SECONDS", str(MAX_CACHE_SECONDS))
    if not seconds.isdigit() or not 0 < int(seconds) <= MAX_CACHE_SECONDS:
        raise BadStageSettings(f"STAGE_CACHE_SECONDS={seconds} is not from 1 to {MAX_CACHE_SECONDS}")
    kept = {"HttpMethod": "GET", "CachingEnabled": True, "CacheTtlInSeconds": int(seconds), "CacheDataEncrypted": True}
    methods = [{"ResourcePath": _escaped(path)} | kept | throttling for path in STAGE_CACHED]
    return found | {
        "CacheClusterEnabled": True,
        "CacheClusterSize": size,
        "MethodSettings": [everything, *methods],
    }


def patches(wanted: Mapping[str, Any]) -> dict[str, str]:
    """The same settings as API Gateway's patches: paths and values."""
    log = wanted["AccessLogSetting"]
    found = {
        "/accessLogSettings/destinationArn": log["DestinationArn"],
        "/accessLogSettings/format": log["Format"],
        "/cacheClusterEnabled": _text(wanted["CacheClusterEnabled"]),
    }
    if "CacheClusterSize" in wanted:
        found["/cacheClusterSize"] = wanted["CacheClusterSize"]
    for method in wanted["MethodSettings"]:
        start = f"{method['ResourcePath']}/{method['HttpMethod']}"
        found |= {f"{start}/{patch}": _text(method[name]) for name, patch in _METHOD_PATCHES.items() if name in method}
        if method["CachingEnabled"]:
            # Nobody empties it by a header: that would be a way to the functions for anyone. A template can't say this.
            found[f"{start}/caching/requireAuthorizationForCacheControl"] = "true"
            found[f"{start}/caching/unauthorizedCacheControlHeaderStrategy"] = "SUCCEED_WITHOUT_RESPONSE_HEADER"
    return found


def finish(resources: list[dict[str, Any]], stage: str, variables: Mapping[str, str]) -> None:
    """Set what the deployed resources of a stage still lack; the same on every deploy.

    Raises BadStageSettings.
    """
    for resource in resources:
        if resource["resource_type"] == "sqs_event":
            _report_failed_messages(resource["event_uuid"])
        if resource["resource_type"] == "lambda_function":
            _forget_logs_in_time(f"/aws/lambda/{resource['lambda_arn'].rpartition(':')[2]}")
        if resource["resource_type"] == "rest_api":
            _set_stage(resource["rest_api_id"], stage, properties(variables, access_log_arn(stage)))


def access_log_arn(stage: str) -> str:
    """The log group of the stage's accesses, which the stage's stack made.

    Raises BadStageSettings when there is none.
    """
    name = f"/eduflow/{stage}/access"
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    found = [str(group["arn"]).removesuffix(":*") for group in groups if group["logGroupName"] == name]
    if not found:
        raise BadStageSettings(f"There is no log group {name}: run `python -m infra.provision {stage}` first.")
    return found[0]


def _forget_logs_in_time(group: str) -> None:
    """Lambda would make the group with its first line, and keep it for ever."""
    client = boto3.client("logs")
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=group)
    client.put_retention_policy(logGroupName=group, retentionInDays=LOG_DAYS)


def _report_failed_messages(event_source: str) -> None:
    """Make Lambda heed the worker's list of failed messages; without it they would be deleted.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    client, end = boto3.client("lambda"), time.monotonic() + _SETTLING_SECONDS
    while True:
        try:
            client.update_event_source_mapping(UUID=event_source, FunctionResponseTypes=["ReportBatchItemFailures"])
            return
        except client.exceptions.ResourceInUseException:  # it is still being made or changed
            if time.monotonic() > end:
                raise
            time.sleep(2)


def _set_stage(api_id: str, stage: str, wanted: Mapping[str, Any]) -> None:
    client = boto3.client("apigateway")
    now = client.get_stage(restApiId=api_id, stageName=stage)
    kept = STAGE_CACHED if wanted["CacheClusterEnabled"] else ()
    patch = _no_longer_kept(now.get("methodSettings", {}), kept) | patches(wanted)
    if not wanted["CacheClusterEnabled"] and not now.get("cacheClusterEnabled"):
        del patch["/cacheClusterEnabled"]
    operations = [{"op": "replace", "path": path, "value": value} for path, value in patch.items()]
    client.update_stage(restApiId=api_id, stageName=stage, patchOperations=operations)
    if wanted["CacheClusterEnabled"]:
        with contextlib.suppress(client.exceptions.BadRequestException):  # one that is still being made is empty
            client.flush_stage_cache(restApiId=api_id, stageName=stage)


def _no_longer_kept(methods: Mapping[str, Any], kept: Collection[str]) -> dict[str, str]:
    """What switches the cache off for routes that an earlier deploy kept: settings outlive the routes' declaration."""
    patch = {}
    for method, settings in methods.items():
        path, _, verb = method.rpartition("/")
        path = "/" + path.replace("~1", "/").lstrip("/")
        if settings.get("cachingEnabled") and path != "/*" and path not in kept:
            patch[f"{_escaped(path)}/{verb}/caching/enabled"] = "false"
    return patch


def _escaped(path: str) -> str:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-apigateway-stage-methodsetting.html."""
    return "/" + path.replace("/", "~1")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
