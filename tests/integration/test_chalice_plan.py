"""What `chalice deploy` would do to a stage of which nothing, half, all or more is there."""

import json
import os
import subprocess
import sys

import pytest

from infra.config import PROJECT
from infra.functions import API, AUTHORIZER, EMAILS, FUNCTIONS

Plan = list[list[str]]
ALL = {function.lambda_name("dev") for function in FUNCTIONS}


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}  # of the local AWS
    command = [sys.executable, "-m", "tests.chalice_plan"]
    output = subprocess.check_output(command, cwd=PROJECT, env=environment, text=True)
    found: dict[str, Plan] = json.loads(output)
    return found


def names(plan: Plan, call: str) -> set[str]:
    return {rest[0] for method, *rest in plan if method == call and rest}


def urls(plan: Plan) -> dict[str, str]:
    """Return the API_URL that functions get, by function."""
    return {call[1]: call[2] for call in plan if len(call) == 3}


def calls(plan: Plan) -> set[str]:
    return {method for method, *_ in plan}


def test_new_stage_is_created(plans: dict[str, Plan]) -> None:
    plan = plans["nothing"]

    assert names(plan, "create_function") == ALL
    assert {"import_rest_api", "create_lambda_event_source"} <= calls(plan)
    assert not calls(plan) & {"update_function", "delete_function", "delete_role"}


def test_stage_of_a_killed_deploy_is_completed(plans: dict[str, Plan]) -> None:
    plan = plans["half"]
    there = {one.lambda_name("dev") for one in (API, AUTHORIZER, FUNCTIONS[2])}

    assert names(plan, "update_function") == there
    assert names(plan, "create_function") == ALL - there
    assert "update_api_from_swagger" in calls(plan) and "import_rest_api" not in calls(plan)


def test_deployed_stage_is_updated_and_keeps_its_queue_workers(plans: dict[str, Plan]) -> None:
    plan = plans["all"]

    assert names(plan, "update_function") == ALL
    queue_workers = [function for function in FUNCTIONS if function.queue]
    assert [method for method, *_ in plan].count("update_lambda_event_source") == len(queue_workers)
    assert not calls(plan) & {"create_function", "import_rest_api", "create_lambda_event_source"}
    assert not calls(plan) & {"delete_function", "delete_role", "remove_lambda_event_source", "delete_rest_api"}


def test_function_of_another_version_is_deleted(plans: dict[str, Plan]) -> None:
    common = [call[:2] for call in plans["all"]]  # without the URL of the API, which each plan has another one of
    added = [call for call in plans["more"] if call[:2] not in common]

    assert [method for method, *_ in added] == ["delete_function", "delete_role"]
    assert all(name.endswith("eduflow-dev-obsolete") for _, name in added)


def test_email_worker_has_the_url_of_the_api_throughout_a_later_deploy(plans: dict[str, Plan]) -> None:
    """An update replaces all variables: without the URL, links could not be written until the deploy ends."""
    worker = EMAILS.lambda_name("dev")

    assert urls(plans["nothing"]) == {}, "the API does not exist yet"
    assert {*urls(plans["half"])} == {*urls(plans["all"])} == {worker}
    assert urls(plans["all"])[worker].endswith(".execute-api.eu-west-1.amazonaws.com/dev")
