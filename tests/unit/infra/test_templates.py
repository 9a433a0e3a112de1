"""Properties of the CloudFormation templates."""

import json
import logging
import re
from typing import Any

import cfnlint.decode.cfn_yaml
import pytest

from chalicelib.observability import logs
from infra import config, stacks
from infra.chalice import api_definition, stage_settings
from infra.config import PROJECT
from infra.functions import FUNCTIONS, Function
from infra.stacks import TEMPLATES


def resources(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(cfnlint.decode.cfn_yaml.load(str(TEMPLATES / name))["Resources"]))
    return found


STACK, CACHE, MONITORING = resources("data.yaml"), resources("cache.yaml"), resources("monitoring.yaml")
TABLES = {name: one["Properties"] for name, one in STACK.items() if one["Type"] == "AWS::DynamoDB::Table"}
CONFIG = json.loads((PROJECT / ".chalice" / "config.json").read_text())


@pytest.mark.parametrize("table", TABLES)
def test_tables_cost_nothing_idle_and_lose_nothing(table: str) -> None:
    properties = TABLES[table]

    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    if table not in ("CacheState", "Throttles", "Tickets"):  # they matter for minutes, or an email replaces them
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["IsProtected", True, False]}
        assert STACK[table]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert STACK[table]["UpdateReplacePolicy"] == "Retain"


def test_expiring_tables_have_a_ttl() -> None:
    ends = {name for name, properties in TABLES.items() if "TimeToLiveSpecification" in properties}

    assert ends == {"Sessions", "Throttles", "Tickets", "AccountEmails", "Ledger", "Audit", "Idempotency"}


def test_queues_are_encrypted_and_have_dead_letters() -> None:
    queues = {name: one["Properties"] for name, one in STACK.items() if one["Type"] == "AWS::SQS::Queue"}

    assert all(properties["SqsManagedSseEnabled"] for properties in queues.values())
    dead_letter_queues = {
        properties["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for properties in queues.values()
        if "RedrivePolicy" in properties
    }
    assert {name for name in queues if "RedrivePolicy" not in queues[name]} == dead_letter_queues
    assert len(dead_letter_queues) == len([function for function in FUNCTIONS if function.queue])


def test_every_table_queue_and_function_has_alarms() -> None:
    watched = {key.removeprefix("Fn::ForEach::"): value[1] for key, value in MONITORING.items() if "ForEach" in key}
    tables = {properties["TableName"]["Fn::Sub"] for properties in TABLES.values()}

    assert {f"eduflow-{name}-${{Stage}}" for name in watched["Tables"]} == tables
    assert set(watched["Queues"]) == {function.queue for function in FUNCTIONS if function.queue}
    assert {*watched["Functions"], "authorizer", "api_handler"} == {function.name for function in FUNCTIONS}
    assert {*watched["Throttled"], "api_handler"} == {function.name for function in FUNCTIONS}
    assert set(watched["Schedules"]) == {function.name for function in FUNCTIONS if function.is_scheduled}


def test_each_index_has_alarms() -> None:
    expected = {
        (properties["TableName"]["Fn::Sub"].split("-", 1)[1].rpartition("-")[0], index["IndexName"])
        for properties in TABLES.values()
        for index in properties.get("GlobalSecondaryIndexes", [])
    }
    document = cfnlint.decode.cfn_yaml.load(str(TEMPLATES / "monitoring.yaml"))
    indexes = document["Mappings"]["Indexes"]

    assert {(one["Table"], one["Name"]) for one in indexes.values()} == expected
    assert set(MONITORING["Fn::ForEach::Indexes"][1]) == set(indexes)


def test_slow_is_three_quarters_of_the_timeout() -> None:
    def threshold(name: str) -> int:
        return int(MONITORING[name]["Properties"]["Threshold"])

    timeouts = {name: one["lambda_timeout"] for name, one in CONFIG["lambda_functions"].items()}
    assert threshold("SlowApi") == 750 * CONFIG["lambda_timeout"]
    assert threshold("SlowAuthorizer") == 750 * timeouts["authorizer"]
    assert threshold("SlowEmails") == 750 * timeouts["emails"]
    [body] = [value[2] for key, value in MONITORING.items() if key == "Fn::ForEach::SlowSchedules"]
    [alarm] = body.values()
    assert alarm["Properties"]["Threshold"] == 750 * timeouts["daily_report"] == 750 * timeouts["cleanup"]


def test_every_alarm_is_in_the_runbook() -> None:
    text = json.dumps(MONITORING)
    chapters = {part.partition("'")[0] for part in text.split("runbook, '")[1:]}
    runbook = (PROJECT / "docs" / "runbook.md").read_text()

    assert len(chapters) == 12
    assert all(f"\n## {chapter}\n" in runbook for chapter in chapters)


def test_errors_metrics_and_log_messages_of_the_runbook_exist() -> None:
    runbook = " ".join((PROJECT / "docs" / "runbook.md").read_text().split())
    names = {*re.findall(r"`([A-Z][a-z]+[A-Z]\w*)`", runbook), *re.findall(r'"([A-Z][^"]+ [^"]+)"', runbook)}
    files = [path for folder in ("chalicelib", "ops", "infra") for path in (PROJECT / folder).rglob("*.*")]
    sources = "".join(path.read_text() for path in files if path.suffix in (".py", ".yaml"))

    assert {"CleanupError", "CacheErrors", "Email sent"} <= names
    assert [name for name in names if name not in sources] == []


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_emails_are_sent_from_the_stages_sender_only(function: Function) -> None:
    statements = json.loads((PROJECT / ".chalice" / function.policy_file).read_text())["Statement"]
    sending = [one for one in statements if any(action.startswith("ses:") for action in one["Action"])]

    assert all(one["Condition"] == {"StringEquals": {"ses:FromAddress": "${sender}"}} for one in sending)
    assert bool(sending) == (function.name == "emails")


def test_cache_admits_only_the_functions_that_use_it() -> None:
    rules = [
        rule for name in ("CacheGroup", "EndpointsGroup") for rule in CACHE[name]["Properties"]["SecurityGroupIngress"]
    ]

    assert all(rule["SourceSecurityGroupId"] == {"Ref": "FunctionsGroup"} for rule in rules)
    assert not any("InternetGateway" in one["Type"] or "NatGateway" in one["Type"] for one in CACHE.values())


def test_stage_has_the_stacks_of_its_parameters() -> None:
    def wanted(**parameters: Any) -> list[str]:
        stage = config.Stage("x", {"MAIL_FROM": "a@example.org"}, **parameters)
        return [stack.name for stack in stacks.stage_stacks(stage) if stack.is_wanted]

    assert wanted() == ["eduflow-x"]
    assert wanted(cache=True) == ["eduflow-x", "eduflow-x-cache"]
    assert wanted(alarm_email="o@example.org") == ["eduflow-x", "eduflow-x-monitoring", "eduflow-x-budget"]
    assert wanted(domain_name="api.example.org", certificate_arn="arn") == ["eduflow-x", "eduflow-x-domain"]


def test_alarms_and_domain_follow_the_functions() -> None:
    stage = config.Stage("x", {"MAIL_FROM": "a@example.org"})
    following = {stack.name for stack in stacks.stage_stacks(stage) if stack.follows_functions}

    assert following == {"eduflow-x-domain", "eduflow-x-monitoring", "eduflow-x-budget"}


def test_access_log_has_the_keys_of_the_functions_log() -> None:
    line = json.loads(stage_settings.ACCESS_LOG)
    record = logging.LogRecord("app.access", logging.INFO, "", 0, "m", (), None)

    assert set(line) == set(json.loads(logs.JsonFormatter().format(record)))
    assert all(value.startswith("$") for value in line["extra"].values())


def test_compose_file_publishes_ports_on_loopback_only() -> None:
    import yaml

    compose = yaml.safe_load((PROJECT / "localstack-compose.yml").read_text())

    assert compose["services"]["localstack"]["image"] == "localstack/localstack:${LOCALSTACK_VERSION:-4.14.0}"
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert "healthcheck" in service
    assert CONFIG["stages"]["localstack"]["environment_variables"]["CACHE_URL"] == "valkey://valkey:6379"


def test_stage_cache_keys_have_all_query_parameters() -> None:
    from chalicelib.schemas.courses import PublicCourseQuery

    known = {key.removeprefix("querystring.") for key in api_definition.CACHED_ROUTES["/api/v1/courses-public"]}
    assert known == set(PublicCourseQuery.model_fields)
