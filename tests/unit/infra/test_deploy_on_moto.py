"""The deploy's calls after `chalice deploy`, on moto: what it finds again, and the settings that it makes."""

import argparse
import contextlib
import functools
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from chalice.deploy.deployer import ResultsRecorder
from chalice.utils import OSUtils
from moto import mock_aws

from infra import email_sender, lambda_state, stacks
from infra.chalice import deployed_resources, plugin, stage_settings
from infra.chalice.api_definition import CACHED_ROUTES
from infra.functions import API, FUNCTIONS, log_group
from ops import commands
from tests import moto_stage

STAGE = "dev"
UNIMPLEMENTED = {
    "api-gateway.FlushStageCache": {},
    "lambda.PutFunctionRecursionConfig": {},
    "lambda.GetAccountSettings": {
        "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
    },
}


@pytest.fixture(autouse=True)
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto, with a success for each of the calls that it does not implement."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    session = boto3.Session()
    monkeypatch.setattr(boto3, "client", functools.cache(session.client))
    for call, answer in UNIMPLEMENTED.items():
        session.events.register(
            f"before-call.{call}", lambda answer=answer, **_: (AWSResponse("", 200, {}, None), answer)
        )
    with mock_aws():
        yield


@pytest.fixture
def deployed() -> str:
    """A deployed stage; the ID of its REST API."""
    return moto_stage.create(STAGE)


def test_deployed_resources_are_found_without_chalices_file(deployed: str) -> None:
    resources = deployed_resources.resources(STAGE)

    kinds = [resource["resource_type"] for resource in resources]
    functions = {one["name"] for one in resources if one["resource_type"] == "lambda_function"}
    assert functions == {function.name for function in FUNCTIONS}
    assert kinds.count("iam_role") == len(FUNCTIONS)
    assert kinds.count("sqs_event") == len([function for function in FUNCTIONS if function.queue])
    assert kinds.count("cloudwatch_event") == len([function for function in FUNCTIONS if function.is_scheduled])
    assert resources[-1]["rest_api_id"] == deployed
    assert deployed_resources.resources("prod") == []


def test_settings_are_applied_twice_with_the_same_result(deployed: str) -> None:
    client = boto3.client("apigateway")
    results: list[dict[str, Any]] = []
    for _ in range(2):
        stage_settings.apply_post_deploy_settings(deployed_resources.resources(STAGE), STAGE, {})
        results.append(client.get_stage(restApiId=deployed, stageName=STAGE))

    first, second = results
    assert first["methodSettings"] == second["methodSettings"]
    assert first["methodSettings"]["*/*"]["throttlingRateLimit"] == stage_settings.RATE_PER_SECOND
    assert first["methodSettings"]["*/*"]["throttlingBurstLimit"] == stage_settings.BURST
    assert first["accessLogSettings"]["destinationArn"] == stage_settings.access_log_arn(STAGE)
    groups = {
        one["logGroupName"]: one.get("retentionInDays")
        for one in boto3.client("logs").describe_log_groups()["logGroups"]
    }
    assert all(groups[log_group(function, STAGE)] == stage_settings.LOG_DAYS for function in FUNCTIONS)


def test_stage_cache_is_set_on_its_routes_and_taken_off(deployed: str) -> None:
    client = boto3.client("apigateway")
    resources = [one for one in deployed_resources.resources(STAGE) if one["resource_type"] == "rest_api"]

    stage_settings.apply_post_deploy_settings(resources, STAGE, {"STAGE_CACHE_SIZE": "0.5"})
    with_cache = client.get_stage(restApiId=deployed, stageName=STAGE)
    stage_settings.apply_post_deploy_settings(resources, STAGE, {})
    without = client.get_stage(restApiId=deployed, stageName=STAGE)

    def cached(stage: dict[str, Any]) -> int:
        return sum(settings.get("cachingEnabled", False) for settings in stage["methodSettings"].values())

    assert (with_cache["cacheClusterEnabled"], cached(with_cache)) == (True, len(CACHED_ROUTES))
    assert (without["cacheClusterEnabled"], cached(without)) == (False, 0)


def test_deleted_stage_gets_no_settings(tmp_path: Path) -> None:
    """Chalice records the results of `chalice delete`, too: its functions do not exist any more."""
    plugin.install()

    ResultsRecorder(OSUtils()).record_results({"resources": [], "backend": "api"}, STAGE, str(tmp_path))

    assert json.loads((tmp_path / ".chalice" / "deployed" / f"{STAGE}.json").read_text())["resources"] == []


def reserved() -> dict[str, int]:
    client = boto3.client("lambda")
    found = {
        function.name: client.get_function_concurrency(FunctionName=function.lambda_name(STAGE))
        for function in FUNCTIONS
    }
    return {name: one["ReservedConcurrentExecutions"] for name, one in found.items() if len(one) > 1}


@pytest.mark.parametrize(
    ("limit", "unreserved", "expected"),
    [
        (
            1000,
            1000,
            {
                "authorizer": 200,
                "emails": 5,
                "cascade_deletions": 2,
                "place_settlement": 2,
                "daily_report": 1,
                "cleanup": 1,
            },
        ),
        (
            1000,
            311,
            {
                "authorizer": 200,
                "emails": 5,
                "cascade_deletions": 2,
                "place_settlement": 2,
                "daily_report": 1,
                "cleanup": 1,
            },
        ),
        (1000, 310, {}),
        (499, 499, {}),
        (10, 10, {}),
    ],
)
def test_concurrency_is_reserved_where_the_account_allows_it(
    deployed: str, monkeypatch: pytest.MonkeyPatch, limit: int, unreserved: int, expected: dict[str, int]
) -> None:
    limits = {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": unreserved}
    monkeypatch.setitem(UNIMPLEMENTED["lambda.GetAccountSettings"], "AccountLimit", limits)

    stage_settings.apply_post_deploy_settings(deployed_resources.resources(STAGE), STAGE, {})

    assert reserved() == expected


def test_missing_function_is_not_waited_for(deployed: str) -> None:
    assert lambda_state.wait_until_stable(API.lambda_name(STAGE))
    assert not lambda_state.wait_until_stable(API.lambda_name("prod"))


def test_sender_is_verified_once() -> None:
    for _ in range(2):
        email_sender.verify("school@school.edu")

    assert boto3.client("ses").list_identities()["Identities"] == ["school@school.edu"]
    assert email_sender.is_verified("school@school.edu")


def test_logs_are_of_one_stage_and_of_the_last_hours(capsys: pytest.CaptureFixture[str]) -> None:
    for group, age, message in (("dev", 60, "new"), ("dev", 7300, "old"), ("dev2", 60, "other stage")):
        line = json.dumps({"timestamp": "2026-01-01T12:00:00Z", "message": message})
        _log(f"/aws/lambda/eduflow-{group}", message, [(age, line)])

    commands.logs(argparse.Namespace(stage="dev", request_id=None, since=timedelta(hours=2), follow=False))

    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["new"]


def test_logs_of_a_request_include_its_authorizer_invocation(capsys: pytest.CaptureFixture[str]) -> None:
    """Its lines have the ID of the invocation, and may be stored after the next invocation has started."""
    gateway = stage_settings.ACCESS_LOG
    values = {"requestId": "wanted", "authorizer.requestId": "invocation-2", "identity.userAgent": 'a "quoted" client'}
    for variable, value in values.items():
        gateway = gateway.replace(f'"$context.{variable}"', f'"{value}"')
    _log("/eduflow/dev/access", "access", [(40, gateway)])
    lines = [json.dumps({"message": "Token refused", "request_id": f"invocation-{number}"}) for number in range(4)]
    events = [(60, "START RequestId: invocation-1"), (58, "END RequestId: invocation-1")]
    events += [(50, "START RequestId: invocation-2"), (49, lines[1]), (49, lines[2])]
    events += [(48, "END RequestId: invocation-2")]
    _log("/aws/lambda/eduflow-dev-authorizer", "one", events)
    _log("/aws/lambda/eduflow-dev-authorizer", "another", [(49, lines[3])])

    commands.logs(argparse.Namespace(stage="dev", request_id="wanted", since=timedelta(hours=2), follow=False))

    assert capsys.readouterr().out.splitlines() == [lines[2], gateway]


def _log(group: str, stream: str, events: list[tuple[int, str]]) -> None:
    """Write messages of the given ages in seconds."""
    client = boto3.client("logs")
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    now = int(time.time())
    log_events = [{"timestamp": 1000 * (now - age), "message": message} for age, message in events]
    client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=log_events)


def test_access_log_role_is_created_unless_there_is_one() -> None:
    assert stacks.account_stack() is not None
    patch = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": "arn:aws:iam::123456789012:role/theirs"}]
    boto3.client("apigateway").update_account(patchOperations=patch)

    assert stacks.account_stack() is None
