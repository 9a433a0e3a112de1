"""How much each function's policy allows. tests/e2e/test_policies.py tests that all of it is used."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra import config, sam_template, vpc
from infra.chalice import plugin
from infra.config import PROJECT
from infra.functions import FUNCTIONS, Function

# arn:partition:service:region:account:resource. The deploy does not know the partition, region and account.
RESOURCE = re.compile(r"arn:\*:(dynamodb|sqs|secretsmanager|logs|ses):\*:\*:(.+)")
# What may vary within a resource: a table's indexes, the suffix of a secret, the streams of a log group.
ALLOWED_WILDCARDS = re.compile(r"(/index/\*|/signing-keys-\*|:log-group:[^*]+:\*)$")


def statements(function: Function) -> list[dict[str, Any]]:
    document: dict[str, Any] = json.loads(Path(PROJECT, ".chalice", function.policy_file).read_text())
    found: list[dict[str, Any]] = document["Statement"]
    return found


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_policy_names_its_resources(function: Function) -> None:
    for statement in statements(function):
        assert set(statement) <= {"Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action]
        for resource in statement["Resource"]:
            named = RESOURCE.fullmatch(resource)
            assert named, resource
            assert "*" not in ALLOWED_WILDCARDS.sub("", f":{named[2]}"), resource
            assert "${stage}" in resource or resource == "arn:*:ses:*:*:identity/${sender}"


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_policy_has_the_log_group_of_its_function_alone(function: Function) -> None:
    groups = {one for statement in statements(function) for one in statement["Resource"] if ":logs:" in one}

    assert groups == {f"arn:*:logs:*:*:log-group:/aws/lambda/{function.lambda_name('${stage}')}:*"}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_recursive_function_is_one_that_sends_to_its_own_queue(function: Function) -> None:
    """Lambda stops such a chain of invocations unless the deploy allows it."""
    own_queue = f"arn:*:sqs:*:*:eduflow-{function.queue}-${{stage}}"
    targets = {one for each in statements(function) if "sqs:SendMessage" in each["Action"] for one in each["Resource"]}

    assert function.is_recursive == (own_queue in targets)


AUDIT_TABLE = "arn:*:dynamodb:*:*:table/eduflow-audit-${stage}"


def test_audit_log_is_append_only() -> None:
    """No policy allows a change of an entry, only the API may write one, and only the API may read them."""
    granted = {
        (path.stem, action, resource)
        for path in PROJECT.glob(".chalice/*.json")
        for statement in json.loads(path.read_text()).get("Statement", [])
        for action in statement["Action"]
        for resource in statement["Resource"]
        if fnmatchcase(AUDIT_TABLE, resource) or resource.startswith(AUDIT_TABLE)
    }

    assert granted == {
        ("policy-api", "dynamodb:PutItem", AUDIT_TABLE),
        ("policy-api", "dynamodb:Query", AUDIT_TABLE),
        ("policy-api", "dynamodb:Query", f"{AUDIT_TABLE}/index/*"),
    }


def test_code_of_functions_in_the_vpc_cannot_change_network_interfaces() -> None:
    statement = vpc.only_lambda_attaches("dev")

    assert (statement["Effect"], statement["Action"]) == ("Deny", vpc.ENI_PERMISSIONS["Action"])
    assert statement["Condition"]["ArnLike"]["lambda:SourceFunctionArn"] == ["arn:*:lambda:*:*:function:eduflow-dev*"]


def test_policy_names_the_identities_of_the_sender() -> None:
    """SES authorizes the identity that it uses: the address, or the domain that is verified."""
    condition = {"StringEquals": {"ses:FromAddress": "${sender}"}}
    policy = {"Statement": [{"Resource": ["arn:*:ses:*:*:identity/${sender}"], "Condition": condition}]}

    plugin._name_sender(policy, "mail@news.school.edu")

    [statement] = policy["Statement"]
    assert statement["Resource"] == [
        f"arn:*:ses:*:*:identity/{name}" for name in ("mail@news.school.edu", "news.school.edu", "school.edu")
    ]
    assert condition == {"StringEquals": {"ses:FromAddress": "mail@news.school.edu"}}


def test_package_has_the_boundary_of_the_stage() -> None:
    arn = "arn:aws:iam::123456789012:policy/eduflow-dev-functions-boundary"
    stage = config.Stage("dev", {"MAIL_FROM": "mail@school.edu"}, permissions_boundary=arn)

    resources = sam_template.merge_template(stage)["Resources"]

    roles = {name: one["Properties"] for name, one in resources.items() if name.endswith("Role")}
    names = ("ApiHandler", "Authorizer", "Emails", "CascadeDeletions", "PlaceSettlement", "DailyReport", "Cleanup")
    assert roles == {f"{name}Role": {"PermissionsBoundary": arn} for name in names}
