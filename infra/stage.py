"""What is set after `chalice deploy`, because neither Chalice nor the API's definition can carry it."""

import os
from typing import Any

import boto3

from infra.gateway import STAGE_CACHED

MAX_CACHE_SECONDS = 60  # how old the public list may be


class BadStageSettings(ValueError):
    """A stage's settings contradict what the API promises."""


def finish(resources: list[dict[str, Any]], stage: str) -> None:
    """Set what the deployed resources of a stage still lack; the same on every deploy.

    Raises BadStageSettings.
    """
    for resource in resources:
        if resource["resource_type"] == "sqs_event":
            _report_failed_messages(resource["event_uuid"])
        if resource["resource_type"] == "rest_api":
            _set_stage_cache(resource["rest_api_id"], stage)


def _report_failed_messages(event_source: str) -> None:
    """Make Lambda heed the worker's list of failed messages; without it they would be deleted.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    boto3.client("lambda").update_event_source_mapping(
        UUID=event_source, FunctionResponseTypes=["ReportBatchItemFailures"]
    )


def _set_stage_cache(api_id: str, stage: str) -> None:
    """Switch the stage's cache on, for the routes that it may keep and no other, or off.

    STAGE_CACHE_SIZE (GB, billed by the hour; without it there is none) and STAGE_CACHE_SECONDS say how.
    """
    client = boto3.client("apigateway")
    now = client.get_stage(restApiId=api_id, stageName=stage)
    patch = cache_settings(os.environ)
    if patch == _OFF and not now.get("cacheClusterEnabled"):
        return
    patch = _no_longer_kept(now.get("methodSettings", {})) | patch
    operations = [{"op": "replace", "path": path, "value": value} for path, value in patch.items()]
    client.update_stage(restApiId=api_id, stageName=stage, patchOperations=operations)
    if patch["/cacheClusterEnabled"] == "true":
        client.flush_stage_cache(restApiId=api_id, stageName=stage)


def _no_longer_kept(methods: dict[str, Any]) -> dict[str, str]:
    """What switches the cache off for routes that an earlier deploy kept: settings outlive the routes' declaration."""
    patch = {}
    for method, settings in methods.items():
        path, _, verb = method.rpartition("/")
        path = "/" + path.replace("~1", "/").lstrip("/")
        if settings.get("cachingEnabled") and path != "/*" and path not in STAGE_CACHED:
            patch[f"/{path.replace('/', '~1')}/{verb}/caching/enabled"] = "false"
    return patch


_OFF = {"/cacheClusterEnabled": "false"}


def cache_settings(variables: Any) -> dict[str, str]:
    """The paths of a stage's settings and their values, by the environment variables of its functions.

    Raises BadStageSettings.
    """
    size = variables.get("STAGE_CACHE_SIZE", "")
    if not size or variables.get("ENABLE_CACHE", "true").lower() == "false":
        return _OFF
    seconds = variables.get("STAGE_CACHE_SECONDS", str(MAX_CACHE_SECONDS))
    if not seconds.isdigit() or not 0 < int(seconds) <= MAX_CACHE_SECONDS:
        raise BadStageSettings(f"STAGE_CACHE_SECONDS={seconds} is not from 1 to {MAX_CACHE_SECONDS}")
    patch = {"/cacheClusterEnabled": "true", "/cacheClusterSize": size, "/*/*/caching/enabled": "false"}
    for path in STAGE_CACHED:
        method = f"/{path.replace('/', '~1')}/GET/caching"
        patch |= {
            f"{method}/enabled": "true",
            f"{method}/ttlInSeconds": seconds,
            f"{method}/dataEncrypted": "true",
            # Nobody empties it by a header: that would be a way to the functions for anyone.
            f"{method}/requireAuthorizationForCacheControl": "true",
            f"{method}/unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITHOUT_RESPONSE_HEADER",
        }
    return patch
