"""The settings of a stage that neither Chalice nor the API's definition can carry.

They are written once, in the form of a CloudFormation template, and applied in two ways: by patch operations after
`chalice deploy`, or by the template of `chalice package`.
"""

import contextlib
import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra import config
from infra.chalice.api_definition import CACHED_ROUTES
from infra.functions import AUTHORIZER, EMAILS, FUNCTIONS, access_log_group
from infra.platforms import AWS, platform_of

MAX_CACHE_SECONDS = 60  # how old the public list may be
LOG_DAYS = 30
# The default of each method, beyond which API Gateway answers 429; not a limit of the stage as a whole
# (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html). Below the
# account's quota in every region: some have 2,500 requests a second with a burst of 1,250.
RATE_PER_SECOND = 1000
BURST = 1000
# The executions reserved for the workers: as many as their queues or schedules start.
WORKER_CONCURRENCY = {"emails": 5, "cascade_deletions": 2, "place_settlement": 2, "daily_report": 1, "cleanup": 1}
MIN_CONCURRENCY = 500  # of the account, for reservations
_RETRY_SECONDS = 300  # API Gateway needs up to four minutes to create a cache
_IN_PROGRESS = {
    "ConflictException", "ResourceConflictException", "TooManyRequestsException", "ResourceInUseException",
}  # fmt: skip

# One JSON object a line, with the keys of the functions' lines, so that one filter finds both. API Gateway knows its
# time in milliseconds only, and prints "-" for a missing value, so that all values are strings. It escapes nothing: the
# User-Agent is left out, because a client could forge fields with it.
ACCESS_LOG = json.dumps(
    {
        "timestamp": "$context.requestTimeEpoch",
        "level": "INFO",
        "logger": "gateway.access",
        "message": "$context.httpMethod $context.path $context.status",
        "request_id": "$context.requestId",
        "extra": {
            "ip": "$context.identity.sourceIp",
            "user_id": "$context.authorizer.principalId",
            "duration_ms": "$context.responseLatency",
            "function_ms": "$context.integration.latency",
            "length": "$context.responseLength",
            "gateway_error": "$context.error.responseType",
            "authorizer_request_id": "$context.authorizer.requestId",
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


class StageSettingsError(config.OperatorError):
    """A stage's settings contradict the API's guarantees, or a resource that they need does not exist."""


def properties(variables: Mapping[str, str], access_log: Any) -> dict[str, Any]:
    """Return the stage's settings as properties of a template.

    ``variables`` are the environment of the functions: STAGE_CACHE_SIZE (GB, billed by the hour; no cache without
    it) and STAGE_CACHE_SECONDS configure the stage cache of CACHED_ROUTES.

    Raises StageSettingsError.
    """
    throttling = {"ThrottlingRateLimit": RATE_PER_SECOND, "ThrottlingBurstLimit": BURST}
    everything = {"ResourcePath": "/*", "HttpMethod": "*", "CachingEnabled": False} | throttling
    basic = {
        "CacheClusterEnabled": False,
        "AccessLogSetting": {"DestinationArn": access_log, "Format": ACCESS_LOG},
        "MethodSettings": [everything],
    }
    size = variables.get("STAGE_CACHE_SIZE", "")
    if not size or variables.get("ENABLE_CACHE", "true").lower() == "false":
        return basic
    seconds = variables.get("STAGE_CACHE_SECONDS", str(MAX_CACHE_SECONDS))
    if not seconds.isdigit() or not 0 < int(seconds) <= MAX_CACHE_SECONDS:
        raise StageSettingsError(f"STAGE_CACHE_SECONDS={seconds} is not from 1 to {MAX_CACHE_SECONDS}")
    caching = {
        "HttpMethod": "GET",
        "CachingEnabled": True,
        "CacheTtlInSeconds": int(seconds),
        "CacheDataEncrypted": True,
    }
    methods = [{"ResourcePath": _escaped(path)} | caching | throttling for path in CACHED_ROUTES]
    return basic | {
        "CacheClusterEnabled": True,
        "CacheClusterSize": size,
        "MethodSettings": [everything, *methods],
    }


def patches(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the same settings as patch operations: values by path."""
    log = settings["AccessLogSetting"]
    patch = {
        "/accessLogSettings/destinationArn": log["DestinationArn"],
        "/accessLogSettings/format": log["Format"],
        "/cacheClusterEnabled": _text(settings["CacheClusterEnabled"]),
    }
    if "CacheClusterSize" in settings:
        patch["/cacheClusterSize"] = settings["CacheClusterSize"]
    for method in settings["MethodSettings"]:
        start = f"{method['ResourcePath']}/{method['HttpMethod']}"
        patch |= {f"{start}/{path}": _text(method[name]) for name, path in _METHOD_PATCHES.items() if name in method}
        if method["CachingEnabled"]:
            # A client must not invalidate the cache by a header. Templates have no such property.
            patch[f"{start}/caching/requireAuthorizationForCacheControl"] = "true"
            patch[f"{start}/caching/unauthorizedCacheControlHeaderStrategy"] = "SUCCEED_WITHOUT_RESPONSE_HEADER"
    return patch


def apply_post_deploy_settings(resources: list[dict[str, Any]], stage: str, variables: Mapping[str, str]) -> None:
    """Apply what Chalice cannot set on the deployed resources of a stage. Idempotent.

    Raises StageSettingsError.
    """
    for resource in resources:
        if resource["resource_type"] == "sqs_event":
            _enable_partial_batch_response(resource["event_uuid"])
        if resource["resource_type"] == "lambda_function":
            _set_log_retention(f"/aws/lambda/{resource['lambda_arn'].rpartition(':')[2]}")
            if resource["name"] in {function.name for function in FUNCTIONS if function.is_recursive}:
                _allow_recursion(resource["lambda_arn"])
        if resource["resource_type"] == "rest_api":
            _update_stage(resource["rest_api_id"], stage, properties(variables, access_log_arn(stage)))
    if platform_of(stage) is AWS:
        _reserve_concurrency(stage)


def set_api_url(stage: str, url: str) -> None:
    """Set the URL of the API for links in emails, which the first deploy of a stage knows at its end only."""
    client, name = boto3.client("lambda"), EMAILS.lambda_name(stage)
    environment = client.get_function_configuration(FunctionName=name)["Environment"]
    if environment["Variables"].get("API_URL") == url:
        return
    variables = {"Variables": environment["Variables"] | {"API_URL": url}}
    _retry_in_progress(lambda: client.update_function_configuration(FunctionName=name, Environment=variables))


def access_log_arn(stage: str) -> str:
    """Return the ARN of the stage's access log, which its data stack creates.

    Raises StageSettingsError when there is none.
    """
    name = access_log_group(stage)
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    arns = [str(group["arn"]).removesuffix(":*") for group in groups if group["logGroupName"] == name]
    if not arns:
        raise StageSettingsError(f"There is no log group {name}: run `python -m infra.stacks {stage}` first.")
    return arns[0]


def _set_log_retention(group: str) -> None:
    """Create a log group with a retention: Lambda would create it with the first line, and keep it forever."""
    client = boto3.client("logs")
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=group)
    client.put_retention_policy(logGroupName=group, retentionInDays=LOG_DAYS)


def _enable_partial_batch_response(event_source: str) -> None:
    """Make Lambda return only the failed messages of a batch to the queue; it would delete them with the others.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    client = boto3.client("lambda")
    _retry_in_progress(
        lambda: client.update_event_source_mapping(UUID=event_source, FunctionResponseTypes=["ReportBatchItemFailures"])
    )


def _allow_recursion(function: str) -> None:
    """Let a worker send messages to its own queue: Lambda stops such a chain after about 16 invocations.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    """
    client = boto3.client("lambda")
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):  # LocalStack has no such configuration
        client.put_function_recursion_config(FunctionName=function, RecursiveLoop="Allow")


def _reserve_concurrency(stage: str) -> None:
    """Keep executions free for the authorizer and the workers, which a burst of API requests would use up.

    A reservation is a limit as well, so that the authorizer gets a fifth of the account's. AWS keeps 100 executions
    unreserved; an account with less than MIN_CONCURRENCY reserves nothing
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
    """
    client = boto3.client("lambda")
    limits = client.get_account_settings()["AccountLimit"]
    reservations = WORKER_CONCURRENCY | {AUTHORIZER.name: limits["ConcurrentExecutions"] // 5}
    others = limits["UnreservedConcurrentExecutions"] - sum(reservations.values())
    if limits["ConcurrentExecutions"] < MIN_CONCURRENCY or others < 100:
        return
    for function in FUNCTIONS:
        if number := reservations.get(function.name):
            client.put_function_concurrency(
                FunctionName=function.lambda_name(stage), ReservedConcurrentExecutions=number
            )


def _update_stage(api_id: str, stage: str, settings: Mapping[str, Any]) -> None:
    client = boto3.client("apigateway")
    current = _stage_without_cache_change(client, api_id, stage)
    cached = CACHED_ROUTES if settings["CacheClusterEnabled"] else ()
    patch = _disable_removed_routes(current.get("methodSettings", {}), cached) | patches(settings)
    if not settings["CacheClusterEnabled"] and not current.get("cacheClusterEnabled"):
        del patch["/cacheClusterEnabled"]
    operations = [{"op": "replace", "path": path, "value": value} for path, value in patch.items()]
    _retry_in_progress(lambda: client.update_stage(restApiId=api_id, stageName=stage, patchOperations=operations))
    if settings["CacheClusterEnabled"]:
        # A cache that is being created or flushed is empty anyway.
        with contextlib.suppress(client.exceptions.BadRequestException, client.exceptions.ConflictException):
            client.flush_stage_cache(restApiId=api_id, stageName=stage)


def _stage_without_cache_change(client: Any, api_id: str, stage: str) -> dict[str, Any]:
    """Return the stage once its cache is neither being created, deleted nor flushed: no update is accepted before."""
    end = time.monotonic() + _RETRY_SECONDS
    while True:
        current: dict[str, Any] = client.get_stage(restApiId=api_id, stageName=stage)
        if not current.get("cacheClusterStatus", "").endswith("_IN_PROGRESS"):
            return current
        if time.monotonic() > end:
            raise StageSettingsError(f"The stage cache has been {current['cacheClusterStatus']} for five minutes.")
        time.sleep(random.uniform(2, 4))


def _retry_in_progress(call: Callable[[], object]) -> None:
    """Call AWS until no earlier change of the same resource is in progress and no throttling occurs."""
    end = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            call()
            return
        except ClientError as error:
            if error.response["Error"]["Code"] not in _IN_PROGRESS or time.monotonic() > end:
                raise
            time.sleep(random.uniform(1, 3))


def _disable_removed_routes(methods: Mapping[str, Any], cached: Collection[str]) -> dict[str, str]:
    """Return patches that disable caching of routes no longer cached: their settings outlive the definition."""
    patch = {}
    for method, settings in methods.items():
        path, _, verb = method.rpartition("/")
        path = "/" + path.replace("~1", "/").lstrip("/")
        if settings.get("cachingEnabled") and path != "/*" and path not in cached:
            patch[f"{_escaped(path)}/{verb}/caching/enabled"] = "false"
    return patch


def _escaped(path: str) -> str:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-apigateway-stage-methodsetting.html."""
    return "/" + path.replace("/", "~1")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
