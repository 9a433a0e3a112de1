"""What `chalice deploy` would do to a stage of which nothing, half, all or more is there."""

import json
import subprocess
import sys

import pytest

from infra.config import PROJECT
from infra.functions import API, AUTHORIZER, FUNCTIONS

Plan = list[list[str]]
ALL = {function.lambda_name("dev") for function in FUNCTIONS}


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    output = subprocess.check_output([sys.executable, "-m", "tests.chalice_plan"], cwd=PROJECT, text=True)
    found: dict[str, Plan] = json.loads(output)
    return found


def names(plan: Plan, call: str) -> set[str]:
    return {name for method, *rest in plan if method == call for name in rest}


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
    added = [call for call in plans["more"] if call not in plans["all"]]

    assert [method for method, *_ in added] == ["delete_function", "delete_role"]
    assert all(name.endswith("eduflow-dev-obsolete") for _, name in added)
