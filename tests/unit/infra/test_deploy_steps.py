"""Steps of a deploy, driven with the responses that AWS documents: no emulator has these states."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from chalicelib.handlers.workers import deletions, emails, place_settlement
from infra import cloudformation, config, email_sender, lambda_state, preflight, stacks, vpc
from infra.chalice import stage_settings
from infra.config import PROJECT
from infra.functions import FUNCTIONS

FUNCTION = "eduflow-dev"
STACK = cloudformation.Stack("eduflow-dev", stacks.DATA, {"Stage": "dev"}, has_data=True)
STAGE = config.Stage("dev", {"MAIL_FROM": "school@eduflow.school"})


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Stubber]]:
    """A stubbed client for each service that a step asks for; each expects just the calls that a test adds."""
    created = boto3.client
    stubbed: dict[str, Stubber] = {}
    clients: dict[str, Any] = {}
    for service in ("apigateway", "cloudformation", "ec2", "lambda", "ses", "sesv2"):
        clients[service] = created(service, region_name="us-east-1")
        stubbed[service] = Stubber(clients[service])
        stubbed[service].activate()
    monkeypatch.setattr(boto3, "client", lambda service, **_: clients[service])
    yield stubbed
    for stubber in stubbed.values():
        stubber.assert_no_pending_responses()


def test_inactive_function_is_stable(stubs: dict[str, Stubber]) -> None:
    response = {"State": "Inactive", "LastUpdateStatus": "Successful"}
    stubs["lambda"].add_response("get_function_configuration", response, {"FunctionName": FUNCTION})

    assert lambda_state.wait_until_stable(FUNCTION)


def test_changing_function_is_waited_for(stubs: dict[str, Stubber], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_state, "_POLL_SECONDS", 0)
    for state, update in (("Pending", "InProgress"), ("Active", "InProgress"), ("Active", "Successful")):
        stubs["lambda"].add_response("get_function_configuration", {"State": state, "LastUpdateStatus": update})

    assert lambda_state.wait_until_stable(FUNCTION)


def test_vpc_without_functions_is_detached(stubs: dict[str, Stubber]) -> None:
    for _ in range(2):
        stubs["lambda"].add_client_error("get_function_configuration", "ResourceNotFoundException")
    stubs["cloudformation"].add_client_error("describe_stacks", "ValidationError", "Stack does not exist")
    stubs["ec2"].add_response("describe_network_interfaces", {"NetworkInterfaces": []})

    vpc.detach_functions("dev", say=print)


def test_failure_reason_is_the_first_of_the_last_operation(stubs: dict[str, Stubber]) -> None:
    def event(resource: str, status: str, reason: str = "", physical: str = "x") -> dict[str, Any]:
        own: dict[str, Any] = {"LogicalResourceId": resource, "ResourceStatus": status, "PhysicalResourceId": physical}
        own |= {"StackId": "arn", "StackName": STACK.name, "EventId": "1", "Timestamp": 0}
        return own | ({"ResourceStatusReason": reason} if reason else {})

    newest_first = [
        event("Queue", "UPDATE_FAILED", "Resource update cancelled"),
        event("Table", "UPDATE_FAILED", "the reason"),
        event(STACK.name, "UPDATE_IN_PROGRESS", physical="arn"),
        event("Older", "CREATE_FAILED", "of an older operation"),
    ]
    stubs["cloudformation"].add_response("describe_stack_events", {"StackEvents": newest_first})

    assert cloudformation._failure_reason(STACK) == "Table: the reason"


def test_declined_plan_leaves_no_empty_stack(stubs: dict[str, Stubber]) -> None:
    change = cloudformation.Change(STACK.name, "Add", "Users", "AWS::DynamoDB::Table", replaces=False)
    named = {"StackName": STACK.name}
    stack = named | {"CreationTime": 0, "StackStatus": "REVIEW_IN_PROGRESS"}
    stubs["cloudformation"].add_response("delete_change_set", {}, named | {"ChangeSetName": "arn"})
    stubs["cloudformation"].add_response("describe_stacks", {"Stacks": [stack]}, named)
    stubs["cloudformation"].add_response("delete_stack", {}, named)

    cloudformation.discard(cloudformation.Plan(STACK, [change], "arn"))


def _zones(stubs: dict[str, Stubber], state: str | None, used: tuple[str, str] = ("a", "b")) -> tuple[str, ...]:
    if state is None:
        stubs["cloudformation"].add_client_error("describe_stacks", "ValidationError", "Stack does not exist")
    else:
        parameters = [
            {"ParameterKey": f"Zone{key}", "ParameterValue": zone} for key, zone in zip("AB", used, strict=True)
        ]
        stack = {"StackName": "s", "CreationTime": 0, "StackStatus": state, "Parameters": parameters}
        stubs["cloudformation"].add_response("describe_stacks", {"Stacks": [stack]})
    if state is None or state.startswith("ROLLBACK"):
        details = [{"AvailabilityZones": ["a", "b", "c"]}, {"AvailabilityZones": ["b", "c", "d", "a"]}]
        stubs["ec2"].add_response("describe_vpc_endpoint_services", {"ServiceDetails": details})
        available = {"AvailabilityZones": [{"ZoneName": zone} for zone in "abcd"]}
        stubs["ec2"].add_response("describe_availability_zones", available)
    return vpc.zones(STAGE)


def test_zones_have_every_endpoint_service(stubs: dict[str, Stubber]) -> None:
    assert _zones(stubs, None) == ("a", "b")


def test_zones_of_a_deployed_vpc_stay(stubs: dict[str, Stubber]) -> None:
    assert _zones(stubs, "UPDATE_COMPLETE", ("c", "d")) == ("c", "d")


def test_zones_that_failed_are_followed_by_the_next_pair(stubs: dict[str, Stubber]) -> None:
    assert _zones(stubs, "ROLLBACK_COMPLETE") == ("a", "c")


def test_stage_update_waits_for_the_cache_and_retries_conflicts(
    stubs: dict[str, Stubber], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    gateway = stubs["apigateway"]
    gateway.add_response("get_stage", {"cacheClusterStatus": "CREATE_IN_PROGRESS"})
    gateway.add_response("get_stage", {"cacheClusterStatus": "AVAILABLE", "cacheClusterEnabled": True})
    gateway.add_client_error("update_stage", "ConflictException")
    gateway.add_client_error("update_stage", "TooManyRequestsException")
    gateway.add_response("update_stage", {})
    gateway.add_client_error("flush_stage_cache", "ConflictException")

    settings = stage_settings.properties({"STAGE_CACHE_SIZE": "0.5"}, "arn")
    stage_settings._update_stage("api", "dev", settings)


def test_another_runtime_stops_a_deploy(stubs: dict[str, Stubber]) -> None:
    stubs["lambda"].add_response("get_function_configuration", {"Runtime": "python3.9"})

    [finding] = preflight._runtime("dev")

    assert finding.is_fatal and "python3.9" in finding.message


def test_new_account_gets_warnings(stubs: dict[str, Stubber]) -> None:
    stubs["lambda"].add_response("get_account_settings", {"AccountLimit": {"ConcurrentExecutions": 10}})
    attributes = {"VerificationAttributes": {STAGE.sender: {"VerificationStatus": "Pending"}}}
    stubs["ses"].add_response("get_identity_verification_attributes", attributes)
    stubs["sesv2"].add_response("get_account", {"ProductionAccessEnabled": False})

    findings = [*preflight._concurrency(STAGE), *preflight._sender(STAGE), *preflight._sandbox(STAGE)]

    assert len(findings) == 3 and not any(finding.is_fatal for finding in findings)
    assert "10 Lambda functions" in findings[0].message


def test_domain_with_a_reserved_ending_is_not_reserved() -> None:
    assert email_sender.is_reserved("school@mail.example.net")
    assert not email_sender.is_reserved("school@myexample.net")


def test_reserved_sender_is_a_warning(stubs: dict[str, Stubber]) -> None:
    [finding] = preflight._sender(config.Stage("dev", {"MAIL_FROM": "eduflow@example.org"}))

    assert "no email can be sent" in finding.message


def test_custom_domain_sets_the_base_url_and_needs_a_certificate(tmp_path: Path) -> None:
    import json

    document = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    file = tmp_path / "config.json"

    def load(**parameters: Any) -> config.Stage:
        document["stages"]["dev"]["parameters"] = parameters
        file.write_text(json.dumps(document))
        return config.load_stage("dev", file)

    stage = load(domain_name="api.school.example", certificate_arn="arn")
    assert stage.variables["PUBLIC_BASE_URL"] == "https://api.school.example"
    assert not stacks.stage_stacks(stage)[2].is_ready, "the API has no ID yet"
    assert stacks.stage_stacks(stage, api_id="abc")[2].is_ready
    with pytest.raises(config.StageConfigError, match="belong together"):
        load(domain_name="api.school.example")
    document["stages"]["dev"]["api_gateway_custom_domain"] = {}
    with pytest.raises(config.StageConfigError, match="api_gateway_custom_domain"):
        load()


@pytest.mark.parametrize("endpoint", ["", "https://dynamodb.us-east-1.amazonaws.com"])
def test_stage_of_make_run_is_not_deployed_to_aws(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(config.OperatorError, match="make run"):
        config.require_local_endpoint("local")
    config.require_local_endpoint("dev")


def test_each_worker_has_the_concurrency_of_its_queue_or_schedule() -> None:
    modules = {"emails": emails, "deletions": deletions, "waitlist": place_settlement}
    of_queues = {function.name: modules[function.queue].MAX_CONCURRENCY for function in FUNCTIONS if function.queue}
    of_schedules = {function.name: 1 for function in FUNCTIONS if function.is_scheduled}

    assert of_queues | of_schedules == stage_settings.WORKER_CONCURRENCY
