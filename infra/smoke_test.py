"""Checks of a deployed stage: its responses, and the settings that Chalice cannot carry.

``python -m infra.smoke_test STAGE`` only reads. What a platform cannot do is printed with the reason, not checked.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.web import problems
from infra import config
from infra.chalice import api_definition, deployed_resources, stage_settings
from infra.functions import EMAILS, FUNCTIONS, log_group
from infra.platforms import Feature, platform_of

_PROPAGATION_SECONDS = 60  # how long a new deployment may take to reach all hosts of API Gateway
_POLL_SECONDS = 1
_BEARER = {"Authorization": "Bearer not.a.token"}


class SmokeTestError(config.OperatorError):
    """A check failed; the message says which."""


class Response(NamedTuple):
    """An HTTP response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Check(NamedTuple):
    """One check, and the feature that a platform must have for it."""

    title: str
    holds: Callable[[], bool]
    feature: Feature | None = None


def run(stage: config.Stage, say: Callable[[str], object]) -> str:
    """Run all checks of a stage and return its URL.

    A check of a response is repeated for a minute, because a new deployment reaches API Gateway's hosts one by one.

    Raises SmokeTestError.
    """
    deployed = DeployedStage(stage)
    say(f"Smoke test of {deployed.url}")
    platform = platform_of(stage.name)
    for checks, patience in ((deployed.response_checks(), _PROPAGATION_SECONDS), (deployed.setting_checks(), 0)):
        for check in checks:
            if check.feature and check.feature in platform.limits:
                say(f"  not on {platform.name}: {check.title} ({platform.limits[check.feature]})")
            elif _holds_within(check, patience):
                say(f"  ok  {check.title}")
            else:
                raise SmokeTestError(f"The stage {stage.name} fails the smoke test: {check.title}.")
    return deployed.url


def _holds_within(check: Check, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        try:
            if check.holds():
                return True
        except (OSError, ValueError, KeyError) as error:  # no connection, or a body that is not what it should be
            if time.monotonic() > end:
                raise SmokeTestError(f"{check.title}: {type(error).__name__}: {error}") from error
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)


class DeployedStage:
    """A stage as it is deployed."""

    def __init__(self, stage: config.Stage) -> None:
        self.stage = stage
        self.resources = {one["name"]: one for one in deployed_resources.resources(stage.name)}
        if "rest_api" not in self.resources:
            raise SmokeTestError(f"The stage {stage.name} is not deployed: `make deploy STAGE={stage.name}`.")
        self.api_id = self.resources["rest_api"]["rest_api_id"]
        self.url = deployed_resources.stage_url(self.resources["rest_api"], stage.name)

    def response_checks(self) -> Iterator[Check]:
        """Return the checks of responses."""
        yield Check("the API answers /api/health", self._is_healthy)
        yield Check("a missing token is 401", lambda: self._get("/api/v1/enrollments").status == 401)
        yield Check("a 401 names the Bearer scheme", self._names_scheme)
        yield Check("an unknown path is a 404 problem", self._has_gateway_responses, Feature.GATEWAY_RESPONSES)
        yield Check("with a token, too", self._has_signature_response, Feature.GATEWAY_RESPONSES)
        yield Check("an unsupported method is 405 with Allow", self._allows_methods)
        yield Check("the public list answers", lambda: self._get("/api/v1/courses-public?limit=1").status == 200)
        if self.stage.variables.get("STAGE_CACHE_SIZE"):
            yield Check("a repeated parameter is keyed as it is read", self._keys_repeated, Feature.CACHE_KEYS)

    def setting_checks(self) -> Iterator[Check]:
        """Return the checks of settings."""
        yield Check("the gateway passes only tokens to the authorizer", self._validates_tokens, Feature.AUTHORIZERS)
        yield Check("the stage has its throttling, access log and cache", self._has_stage_settings)
        yield Check("the cache keys hold every parameter", self._has_cache_keys, Feature.CACHE_KEYS)
        yield Check("a batch returns only its failed messages to the queue", self._has_partial_batch_response)
        yield Check("links in emails lead to this API", self._has_api_url)
        yield Check(
            "workers that requeue their messages may call themselves", self._allows_recursion, Feature.RECURSION_CONFIG
        )
        yield Check("the functions' logs expire", self._has_retention)
        yield Check("only the functions that use the cache are in its VPC", self._is_in_vpc)
        yield Check("tables delete expired items", self._has_time_to_live, Feature.TIME_TO_LIVE)
        yield Check("tables can be recovered", self._has_recovery, Feature.TABLE_RECOVERY)

    def _get(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Response:
        url, host = self.url + path, urlsplit(self.url).netloc
        if ".localhost:" in host:  # not every resolver knows names below localhost (RFC 6761)
            url = url.replace(host, f"127.0.0.1:{host.rpartition(':')[2]}", 1)
        request = urllib.request.Request(url, method=method, headers={"Host": host} | (headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Response(response.status, _lower(response.headers), response.read())
        except urllib.error.HTTPError as error:
            return Response(error.code, _lower(error.headers), error.read())

    def _is_healthy(self) -> bool:
        response = self._get("/api/health")
        return response.status == 200 and bool(json.loads(response.body)["stage"] == self.stage.name)

    def _names_scheme(self) -> bool:
        return "Bearer" in self._get("/api/v1/enrollments").headers.get("www-authenticate", "")

    def _validates_tokens(self) -> bool:
        authorizers = boto3.client("apigateway").get_authorizers(restApiId=self.api_id)["items"]
        patterns = [one.get("identityValidationExpression") for one in authorizers]
        return patterns == [api_definition.AUTHORIZATION_PATTERN]

    def _has_gateway_responses(self) -> bool:
        response = self._get("/api/v1/nothing-here")
        return (
            _is_problem(response, 404)
            and response.headers.get("access-control-allow-origin") == "*"
            and json.loads(response.body)["request_id"] == response.headers.get("x-request-id")
        )

    def _has_signature_response(self) -> bool:
        return _is_problem(self._get("/api/v1/nothing-here", headers=_BEARER), 404)

    def _allows_methods(self) -> bool:
        response = self._get("/api/v1/courses-public", "DELETE")
        return response.status == 405 and "GET" in response.headers.get("allow", "")

    def _has_stage_settings(self) -> bool:
        current = boto3.client("apigateway").get_stage(restApiId=self.api_id, stageName=self.stage.name)
        access_log = stage_settings.access_log_arn(self.stage.name)
        expected = stage_settings.properties(self.stage.variables, access_log)
        methods = current.get("methodSettings", {})
        default = methods.get("*/*", {})
        cached = {path for path, settings in methods.items() if settings.get("cachingEnabled")}
        return (
            bool(current.get("cacheClusterEnabled", False)) == expected["CacheClusterEnabled"]
            and len(cached) == sum(method["CachingEnabled"] for method in expected["MethodSettings"])
            and current.get("accessLogSettings", {}).get("destinationArn") == access_log
            and default.get("throttlingRateLimit") == stage_settings.RATE_PER_SECOND
            and bool(default.get("throttlingBurstLimit") == stage_settings.BURST)
        )

    def _has_cache_keys(self) -> bool:
        client = boto3.client("apigateway")
        pages = client.get_paginator("get_resources").paginate(restApiId=self.api_id, embed=["methods"])
        methods = {one["path"]: one.get("resourceMethods", {}) for page in pages for one in page["items"]}
        for path, keys in api_definition.CACHED_ROUTES.items():
            integration: dict[str, Any] = methods[path]["GET"]["methodIntegration"]
            if not {f"method.request.{key}" for key in keys} <= {*integration.get("cacheKeyParameters", [])}:
                return False
        return True

    def _keys_repeated(self) -> bool:
        """Whether ``limit=1&limit=200``, which is invalid by its last value, is not cached as ``limit=1``."""
        self._get("/api/v1/courses-public?limit=1&limit=200")
        return self._get("/api/v1/courses-public?limit=1").status == 200

    def _has_partial_batch_response(self) -> bool:
        client = boto3.client("lambda")
        sources = [one["event_uuid"] for one in self.resources.values() if one["resource_type"] == "sqs_event"]
        types = [client.get_event_source_mapping(UUID=uuid).get("FunctionResponseTypes") for uuid in sources]
        return bool(types) and all(one == ["ReportBatchItemFailures"] for one in types)

    def _has_api_url(self) -> bool:
        name = EMAILS.lambda_name(self.stage.name)
        current = boto3.client("lambda").get_function_configuration(FunctionName=name)
        url = current.get("Environment", {}).get("Variables", {}).get("API_URL", "")
        if self.stage.name == config.LOCAL:  # `make run` serves it at a URL that only its own process knows
            return bool(url)
        return bool(url == deployed_resources.api_url(self.stage))

    def _allows_recursion(self) -> bool:
        client = boto3.client("lambda")
        names = [function.lambda_name(self.stage.name) for function in FUNCTIONS if function.is_recursive]
        return all(
            client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow" for name in names
        )

    def _has_retention(self) -> bool:
        client = boto3.client("logs")
        for group in (log_group(function, self.stage.name) for function in FUNCTIONS):
            pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group)
            days = [
                one.get("retentionInDays")
                for page in pages
                for one in page["logGroups"]
                if one["logGroupName"] == group
            ]
            if days != [stage_settings.LOG_DAYS]:
                return False
        return True

    def _is_in_vpc(self) -> bool:
        client = boto3.client("lambda")
        in_vpc = {
            name
            for name, one in self.resources.items()
            if one["resource_type"] == "lambda_function"
            and client.get_function_configuration(FunctionName=one["lambda_arn"]).get("VpcConfig", {}).get("SubnetIds")
        }
        return in_vpc == ({one.name for one in FUNCTIONS if one.uses_cache} if self.stage.cache else set())

    def _has_time_to_live(self) -> bool:
        client = boto3.client("dynamodb")
        for table in ("sessions", "throttles", "tickets", "account-emails", "ledger", "audit", "idempotency"):
            current = client.describe_time_to_live(TableName=f"eduflow-{table}-{self.stage.name}")
            if current["TimeToLiveDescription"]["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
                return False
        return True

    def _has_recovery(self) -> bool:
        """Whether a restored table, say, has the settings of the template: CloudFormation does not compare them."""
        client = boto3.client("dynamodb")
        is_protected = self.stage.name == config.PRODUCTION
        for name in self._tables():
            backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
            table = client.describe_table(TableName=name)["Table"]
            if backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] != "ENABLED":
                return False
            if bool(table.get("DeletionProtectionEnabled")) != is_protected:
                return False
        return True

    def _tables(self) -> list[str]:
        pages = boto3.client("dynamodb").get_paginator("list_tables").paginate()
        names = [name for page in pages for name in page["TableNames"]]
        own = [name for name in names if name.startswith("eduflow-") and name.endswith(f"-{self.stage.name}")]
        temporary = {f"eduflow-{name}-{self.stage.name}" for name in ("cache-state", "throttles", "tickets")}
        return [name for name in own if name not in temporary]


def _is_problem(response: Response, status: int) -> bool:
    return (response.status, response.headers.get("content-type")) == (status, problems.CONTENT_TYPE)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def main() -> None:
    """Run ``python -m infra.smoke_test STAGE``."""
    parser = argparse.ArgumentParser(prog="python -m infra.smoke_test", description="Send test requests to a stage.")
    parser.add_argument("stage", help="a stage of .chalice/config.json, such as dev")
    options = parser.parse_args()
    try:
        stage = config.load_stage(options.stage)
        config.configure_aws_endpoint(stage.name)
        run(stage, say=print)
    except (config.OperatorError, BotoCoreError, ClientError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
