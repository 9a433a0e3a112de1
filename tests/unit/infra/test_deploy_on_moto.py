"""The deploy's calls after `chalice deploy`, on moto: what it finds again, and the settings that it makes."""

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws

import manage
from infra import email_sender, lambda_state, stacks
from infra.chalice import deployed_resources, stage_settings
from infra.chalice.api_definition import CACHED_ROUTES
from infra.functions import API, FUNCTIONS, log_group
from tests import moto_stage

STAGE = "dev"
UNIMPLEMENTED = ("api-gateway.FlushStageCache", "lambda.PutFunctionRecursionConfig")


@pytest.fixture(autouse=True)
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto, with a success for each of the calls that it does not implement."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    session = boto3.Session()
    monkeypatch.setattr(boto3, "client", session.client)
    for call in UNIMPLEMENTED:
        session.events.register(f"before-call.{call}", lambda **_: (AWSResponse("", 200, {}, None), {}))
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


def test_missing_function_is_not_waited_for(deployed: str) -> None:
    assert lambda_state.wait_until_stable(API.lambda_name(STAGE))
    assert not lambda_state.wait_until_stable(API.lambda_name("prod"))


def test_sender_is_verified_once() -> None:
    for _ in range(2):
        email_sender.verify("school@school.edu")

    assert boto3.client("ses").list_identities()["Identities"] == ["school@school.edu"]
    assert email_sender.is_verified("school@school.edu")


def test_logs_are_of_one_stage_and_of_the_last_hours(capsys: pytest.CaptureFixture[str]) -> None:
    now = int(time.time() * 1000)
    client = boto3.client("logs")
    for function, age, message in (("dev", 60_000, "new"), ("dev", 7_300_000, "old"), ("dev2", 60_000, "other stage")):
        group, stream = {"logGroupName": f"/aws/lambda/eduflow-{function}"}, {"logStreamName": message}
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(**group)
        client.create_log_stream(**group, **stream)
        line = json.dumps({"timestamp": "t", "message": message})
        client.put_log_events(**group, **stream, logEvents=[{"timestamp": now - age, "message": line}])

    manage._logs(argparse.Namespace(stage="dev", request_id=None, since=timedelta(hours=2), follow=False))

    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["new"]


def test_access_log_role_is_created_unless_there_is_one() -> None:
    assert stacks.account_stack() is not None
    patch = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": "arn:aws:iam::123456789012:role/theirs"}]
    boto3.client("apigateway").update_account(patchOperations=patch)

    assert stacks.account_stack() is None
