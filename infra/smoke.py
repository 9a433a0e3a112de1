"""Whether a deployed stage answers as the contract says, and has the settings that Chalice can't carry.

``python -m infra.smoke STAGE`` asks the API through its URL and AWS about its settings; it writes nothing.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import problems
from infra import gateway, network, stage, stages, state

_PATIENCE_SECONDS = 60
"""How long a new deployment may take until API Gateway serves it everywhere."""


class NotAsDeployed(stages.Refused):
    """The stage lacks something; the message says what."""


class Deployed:
    """A stage as `chalice deploy` left it."""

    def __init__(self, wanted: stages.Stage) -> None:
        self.stage = wanted
        self.resources = {one["name"]: one for one in state.resources(wanted.name)}
        if "rest_api" not in self.resources:
            raise NotAsDeployed(f"The stage {wanted.name} is not deployed: `make deploy STAGE={wanted.name}`.")
        self.api_id = self.resources["rest_api"]["rest_api_id"]
        local = os.environ.get("AWS_ENDPOINT_URL")
        self.url = (
            f"{local}/_aws/execute-api/{self.api_id}/{wanted.name}"
            if local
            else self.resources["rest_api"]["rest_api_url"].rstrip("/")
        )

    def check(self, say: Callable[[str], object]) -> None:
        """Check all, saying what was found.

        Raises NotAsDeployed.
        """
        for title, holds in self._checks():
            if not holds():
                raise NotAsDeployed(f"Not as deployed: {title}.")
            say(f"  ok  {title}")

    def _checks(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        yield "the API answers /api/health", self._is_healthy
        yield "an unknown address is a problem, with CORS and a request id", self._has_gateway_responses
        yield "a missing token is 401, and says how to log in", self._asks_for_token
        yield "a method that a route lacks is 405, with what it allows", self._knows_methods
        yield "the public list answers", lambda: self._get("/api/v1/courses-public?limit=1")[0] == 200
        yield "the stage has its throttling, access log and cache", self._has_stage_settings
        yield "the cache tells apart what shapes an answer", self._has_cache_keys
        yield "only failed messages of a batch come again", self._reports_failed_messages
        yield "the functions' logs are kept for a time", self._has_retention
        yield "only those functions are in the network that use the cache", self._is_in_network

    def _get(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(self.url + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _lower(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, _lower(error.headers), error.read()

    def _is_healthy(self) -> bool:
        end = time.monotonic() + _PATIENCE_SECONDS
        while (answer := self._get("/api/health"))[0] != 200 and time.monotonic() < end:
            time.sleep(1)
        return answer[0] == 200 and bool(json.loads(answer[2])["stage"] == self.stage.name)

    def _has_gateway_responses(self) -> bool:
        status, headers, body = self._get("/api/v1/nothing-here")
        return (
            (status, headers.get("content-type")) == (404, problems.CONTENT_TYPE)
            and headers.get("access-control-allow-origin") == "*"
            and json.loads(body)["request_id"] == headers.get("x-request-id")
        )

    def _asks_for_token(self) -> bool:
        status, headers, _ = self._get("/api/v1/enrollments")
        return status == 401 and "www-authenticate" in headers

    def _knows_methods(self) -> bool:
        status, headers, _ = self._get("/api/v1/courses-public", "DELETE")
        return status == 405 and "GET" in headers.get("allow", "")

    def _has_stage_settings(self) -> bool:
        now = boto3.client("apigateway").get_stage(restApiId=self.api_id, stageName=self.stage.name)
        wanted = stage.properties(self.stage.variables, stage.access_log_arn(self.stage.name))
        everywhere = now.get("methodSettings", {}).get("*/*", {})
        kept = {path for path, settings in now.get("methodSettings", {}).items() if settings.get("cachingEnabled")}
        return (
            bool(now.get("cacheClusterEnabled", False)) == wanted["CacheClusterEnabled"]
            and len(kept) == sum(method["CachingEnabled"] for method in wanted["MethodSettings"])
            and now.get("accessLogSettings", {}).get("destinationArn") == wanted["AccessLogSetting"]["DestinationArn"]
            and everywhere.get("throttlingRateLimit") == stage.RATE_PER_SECOND
            and bool(everywhere.get("throttlingBurstLimit") == stage.BURST)
        )

    def _has_cache_keys(self) -> bool:
        client = boto3.client("apigateway")
        pages = client.get_paginator("get_resources").paginate(restApiId=self.api_id, embed=["methods"])
        methods = {one["path"]: one.get("resourceMethods", {}) for page in pages for one in page["items"]}
        for path, keys in gateway.STAGE_CACHED.items():
            integration: dict[str, Any] = methods[path]["GET"]["methodIntegration"]
            if not {f"method.request.{key}" for key in keys} <= {*integration.get("cacheKeyParameters", [])}:
                return False
        return True

    def _reports_failed_messages(self) -> bool:
        client = boto3.client("lambda")
        sources = [one["event_uuid"] for one in self.resources.values() if one["resource_type"] == "sqs_event"]
        found = [client.get_event_source_mapping(UUID=uuid).get("FunctionResponseTypes") for uuid in sources]
        return bool(found) and all(one == ["ReportBatchItemFailures"] for one in found)

    def _has_retention(self) -> bool:
        groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/eduflow-{self.stage.name}")
        return all(group.get("retentionInDays") == stage.LOG_DAYS for group in groups["logGroups"])

    def _is_in_network(self) -> bool:
        client = boto3.client("lambda")
        functions = {
            name: one["lambda_arn"] for name, one in self.resources.items() if one["resource_type"] == "lambda_function"
        }
        found = {
            name
            for name, arn in functions.items()
            if client.get_function_configuration(FunctionName=arn).get("VpcConfig", {}).get("SubnetIds")
        }
        return found == ({*network.FUNCTIONS} if self.stage.cache else set())


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def main() -> None:
    """``python -m infra.smoke STAGE``."""
    try:
        wanted = stages.stage(sys.argv[1])
        stages.aim(wanted.name)
        Deployed(wanted).check(say=print)
    except (stages.Refused, BotoCoreError, ClientError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
