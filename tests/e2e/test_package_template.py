"""`chalice package` and `chalice deploy` create the same stage."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.chalice import stage_settings
from infra.functions import EMAILS, FUNCTIONS
from infra.platforms import SUPPORTED_REGIONS
from infra.stacks import BUDGET_REGION
from tests.stack import RunningStack, copy_project

pytestmark = pytest.mark.timeout(300)

# What no shell of an operator has, and these tests' own process does.
OPERATORS = {name: value for name, value in os.environ.items() if name not in ("STAGE", "MAIL_FROM")}


def _packaged(project: Path, stage_name: str) -> dict[str, Any]:
    out = project / "build"
    done = subprocess.run(
        [sys.executable, "-m", "infra.sam_template", stage_name, str(out)],
        cwd=project, env=OPERATORS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    budget = [*out.glob("budget.yaml")]  # deployed to us-east-1 only
    _lint([path for path in out.glob("*.yaml") if path not in budget] + [out / "sam.json"], SUPPORTED_REGIONS)
    _lint(budget, [BUDGET_REGION])
    template: dict[str, Any] = json.loads((out / "sam.json").read_text())["Resources"]
    return template


def _lint(templates: list[Path], regions: Sequence[str]) -> None:
    if templates:
        command = [str(Path(sys.executable).with_name("cfn-lint")), *map(str, templates), "--regions", *regions]
        linted = subprocess.run(command, capture_output=True, text=True, check=False)
        assert linted.returncode == 0, linted.stdout


@pytest.fixture(scope="module")
def template(stack: RunningStack) -> dict[str, Any]:
    """The output of `make package` for the stage that runs."""
    return _packaged(stack.folder, "local")


def test_packaged_functions_equal_deployed_ones(stack: RunningStack, template: dict[str, Any]) -> None:
    deployed = {one["FunctionName"]: one for one in stack.aws("lambda").list_functions()["Functions"]}

    assert len(deployed) == len(FUNCTIONS)
    for resource in (function.resource for function in FUNCTIONS):
        packaged = template[resource]["Properties"]
        function = deployed[packaged["FunctionName"]]
        for name in ("Runtime", "Handler", "Timeout", "MemorySize"):
            assert function[name] == packaged[name], (resource, name)
        variables, expected = function["Environment"]["Variables"], dict(packaged["Environment"]["Variables"])
        if resource == EMAILS.resource:  # each names the URL of its own API
            stage_url = "https://${RestAPI}.execute-api.${AWS::Region}.${AWS::URLSuffix}/local"
            assert expected.pop("API_URL") == {"Fn::Sub": stage_url}
            assert variables["API_URL"] == stack.api.url
        assert {name: variables[name] for name in expected} == expected
        assert "VpcConfig" not in packaged


def test_packaged_policies_equal_deployed_ones(stack: RunningStack, template: dict[str, Any]) -> None:
    iam = stack.aws("iam")
    roles = {"ApiHandlerRole": "api_handler", "AuthorizerRole": "authorizer", "CleanupRole": "cleanup"}
    roles |= {"DailyReportRole": "daily_report", "EmailsRole": "emails"}
    roles |= {"CascadeDeletionsRole": "cascade_deletions", "PlaceSettlementRole": "place_settlement"}
    for resource, name in roles.items():
        role = f"eduflow-local-{name}"
        [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        deployed = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        assert template[resource]["Properties"]["Policies"][0]["PolicyDocument"] == deployed


def test_packaged_policies_change_no_entry_of_the_audit_log(template: dict[str, Any]) -> None:
    granted = {
        action
        for resource in template.values()
        if resource["Type"] == "AWS::IAM::Role"
        for policy in resource["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in statement["Action"]
        if "table/eduflow-audit-" in json.dumps(statement["Resource"])
    }

    assert granted == {"dynamodb:PutItem", "dynamodb:Query"}


def test_packaged_triggers_equal_deployed_ones(stack: RunningStack, template: dict[str, Any]) -> None:
    sources = stack.aws("lambda").list_event_source_mappings()["EventSourceMappings"]
    for resource, queue in (("Emails", "emails"), ("CascadeDeletions", "deletions"), ("PlaceSettlement", "waitlist")):
        [source] = [one for one in sources if one["EventSourceArn"].endswith(f"eduflow-{queue}-local")]
        packaged = template[resource]["Properties"]["Events"][f"{resource}SqsEventSource"]["Properties"]
        assert packaged["BatchSize"] == source["BatchSize"]
        assert packaged["FunctionResponseTypes"] == source["FunctionResponseTypes"]
    for resource in ("DailyReport", "Cleanup"):
        [event] = template[resource]["Properties"]["Events"].values()
        assert event["Properties"]["Schedule"] == "rate(1 hour)"


def test_packaged_stage_equals_deployed_one(stack: RunningStack, template: dict[str, Any]) -> None:
    client, packaged = stack.aws("apigateway"), template["RestAPI"]["Properties"]
    [api] = [api for api in client.get_rest_apis()["items"] if api["name"] == "eduflow"]
    deployed = client.get_stage(restApiId=api["id"], stageName="local")

    assert (deployed["cacheClusterEnabled"], deployed["cacheClusterSize"]) == (
        packaged["CacheClusterEnabled"], packaged["CacheClusterSize"],
    )  # fmt: skip
    assert deployed["accessLogSettings"]["format"] == packaged["AccessLogSetting"]["Format"]
    settings = deployed["methodSettings"]
    for method in packaged["MethodSettings"]:
        path = method["ResourcePath"].replace("~1", "/").removeprefix("/").removeprefix("/") or "*"
        key = "*/*" if method["HttpMethod"] == "*" else f"/{path}/{method['HttpMethod']}"
        assert settings[key]["cachingEnabled"] == method["CachingEnabled"], key
        assert settings[key]["throttlingRateLimit"] == method["ThrottlingRateLimit"] == stage_settings.RATE_PER_SECOND
    body = packaged["DefinitionBody"]
    responses = {one["responseType"] for one in client.get_gateway_responses(restApiId=api["id"], limit=500)["items"]}
    assert set(body["x-amazon-apigateway-gateway-responses"]) <= responses
    pages = client.get_paginator("get_resources").paginate(restApiId=api["id"])
    assert set(body["paths"]) <= {one["path"] for page in pages for one in page["items"]}


def test_only_functions_with_cache_are_in_the_vpc(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    config = project / ".chalice" / "config.json"
    whole = json.loads(config.read_text())
    whole["stages"]["prod"]["parameters"] |= {"cache": True, "alarm_email": "ops@example.org"}
    config.write_text(json.dumps(whole))

    template = _packaged(project, "prod")

    inside = {one.resource for one in FUNCTIONS if "VpcConfig" in template[one.resource]["Properties"]}
    assert inside == {"APIHandler", "CascadeDeletions"}
    for name, role in (("APIHandler", "ApiHandlerRole"), ("CascadeDeletions", "CascadeDeletionsRole")):
        properties = template[name]["Properties"]
        assert properties["Environment"]["Variables"]["CACHE_URL"] == {"Fn::ImportValue": "eduflow-prod-cache-url"}
        assert "ec2:CreateNetworkInterface" in json.dumps(template[role])
    assert "ec2:CreateNetworkInterface" not in json.dumps(template["EmailsRole"])
    assert {path.name for path in (project / "build").glob("*.yaml")} == {
        "account.yaml", "data.yaml", "cache.yaml", "monitoring.yaml", "budget.yaml",
    }  # fmt: skip
