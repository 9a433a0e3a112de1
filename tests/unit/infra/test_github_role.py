"""The role by which GitHub Actions deploys: who may assume it, and what it cannot do."""

from fnmatch import fnmatchcase
from typing import Any

import boto3
import cfnlint.decode.cfn_yaml
import pytest
from chalice.awsclient import TypedAWSClient
from moto import mock_aws

from infra import preflight
from infra.chalice import plugin
from infra.config import PROJECT

RESOURCES: dict[str, Any] = cfnlint.decode.cfn_yaml.load(str(PROJECT / "infra" / "templates" / "github.yaml"))[
    "Resources"
]
NAMES = {"partition": "aws", "region": "eu-west-1", "account": "123456789012", "stage": "prod"}
# AWS has no resources, or no names, for these actions.
UNNAMED = {"Network", "Descriptions", "EventSources", "LogGroups", "Email", "SecretGenerator"}
# What the steps around CloudFormation and Chalice call, beyond what the check before the deploy needs.
LISTINGS = (
    "dynamodb:ListTables",
    "lambda:ListFunctions",
    "lambda:GetAccountSettings",
    "events:ListRules",
    "ses:ListIdentities",
)


def statements(policy: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"]
    return found


DEPLOY = statements("DeployPolicy") + statements("DeployInfrastructurePolicy")


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text(resource: Any) -> str:
    """Return a resource with the values of its parameters."""
    found = resource if isinstance(resource, str) else resource["Fn::Sub"]
    for name, value in (("Stage", "prod"), ("AWS::Partition", "aws"), ("AWS::AccountId", NAMES["account"])):
        found = found.replace(f"${{{name}}}", value)
    return str(found)


def allows(action: str, resource: str) -> bool:
    return any(
        any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
        and any(fnmatchcase(resource, text(pattern)) for pattern in listed(statement["Resource"]))
        for statement in DEPLOY
    )


def test_boundary_denies_changes_of_the_audit_log() -> None:
    """Whatever the policy of a function allows."""
    denied = {
        (action, text(resource).rpartition(":")[2])
        for statement in statements("FunctionsBoundary")
        if statement["Effect"] == "Deny"
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }

    writes = ("BatchWriteItem", "DeleteItem", "UpdateItem")
    assert denied == {(f"dynamodb:{write}", "table/eduflow-audit-prod") for write in writes}


def test_role_trusts_the_environment_of_one_repository() -> None:
    [trust] = RESOURCES["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]

    conditions = trust["Condition"]["StringEquals"]
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert conditions["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    assert conditions["token.actions.githubusercontent.com:sub"] == {
        "Fn::Sub": "repo:${Repository}:environment:${Stage}"
    }


@pytest.mark.parametrize(("action", "resource"), preflight._ACTIONS.items())
def test_role_may_do_what_a_deploy_needs(action: str, resource: str) -> None:
    assert allows(action, resource.format(**NAMES))


@pytest.mark.parametrize("action", LISTINGS)
def test_role_may_look_for_what_is_deployed(action: str) -> None:
    assert allows(action, "*")


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("lambda:GetFunctionConfiguration", "arn:aws:lambda:eu-west-1:123456789012:function:eduflow-prod-emails"),
        ("lambda:UpdateFunctionConfiguration", "arn:aws:lambda:eu-west-1:123456789012:function:eduflow-prod-emails"),
        ("apigateway:GET", "arn:aws:apigateway:eu-west-1::/restapis"),
        ("apigateway:GET", "arn:aws:apigateway:eu-west-1::/restapis/abc123/stages"),
        ("apigateway:GET", "arn:aws:apigateway:eu-west-1::/restapis/abc123/resources"),
    ],
)
def test_role_may_tell_the_email_worker_the_url_of_the_api(action: str, resource: str) -> None:
    assert allows(action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:123456789012:function:eduflow-prod2-api"),
        ("iam:CreateServiceLinkedRole", "arn:aws:iam::123456789012:role/admin"),
        ("iam:CreateRole", "arn:aws:iam::123456789012:role/admin"),
        ("iam:CreateUser", "arn:aws:iam::123456789012:user/eve"),
        ("iam:AttachRolePolicy", "arn:aws:iam::123456789012:role/eduflow-prod-api_handler"),
        ("iam:DeleteRolePermissionsBoundary", "arn:aws:iam::123456789012:role/eduflow-prod-api_handler"),
        ("iam:CreatePolicyVersion", "arn:aws:iam::123456789012:policy/eduflow-prod-functions-boundary"),
        ("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/eduflow-deploy-prod"),
        ("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:123456789012:function:other"),
        ("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/eduflow-users-prod"),
        ("dynamodb:DeleteTable", "arn:aws:dynamodb:eu-west-1:123456789012:table/eduflow-users-prod"),
        ("dynamodb:UpdateTable", "arn:aws:dynamodb:eu-west-1:123456789012:table/eduflow-users-dev"),
        (
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:eduflow/prod/keys",
        ),
        ("cloudformation:DeleteStack", "arn:aws:cloudformation:eu-west-1:123456789012:stack/eduflow-dev/1"),
    ],
)
def test_role_may_not(action: str, resource: str) -> None:
    assert not allows(action, resource)


def test_roles_and_their_policies_need_the_boundary() -> None:
    writes = {"iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"}
    for statement in DEPLOY:
        if writes & {*listed(statement["Action"])} and statement["Sid"] != "AccessLogRole":
            assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": {"Ref": "FunctionsBoundary"}}}
    [account] = [one for one in DEPLOY if one["Sid"] == "AccessLogRole"]
    assert "iam:PutRolePolicy" not in account["Action"]


def test_only_unnamed_resources_are_wildcards() -> None:
    assert {one["Sid"] for one in DEPLOY if "*" in listed(one["Resource"])} == UNNAMED


def test_functions_get_the_boundary_of_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    plugin.install()
    boundary = "arn:aws:iam::123456789012:policy/eduflow-dev-functions-boundary"
    allow = {"Effect": "Allow", "Action": "sqs:ListQueues", "Resource": "*"}
    policy: dict[str, Any] = {"Version": "2012-10-17", "Statement": [allow]}
    with mock_aws():
        iam = boto3.client("iam")
        client = TypedAWSClient(boto3.Session()._session)
        monkeypatch.setattr(plugin, "_boundary", lambda: "")
        client.create_role("old", policy, policy)
        assert "PermissionsBoundary" not in iam.get_role(RoleName="old")["Role"]
        monkeypatch.setattr(plugin, "_boundary", lambda: boundary)

        client.create_role("new", policy, policy)
        client.put_role_policy("old", "old", policy)

        for name in ("old", "new"):
            assert iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
