"""The URL of the API in the email worker's settings: links in emails begin with it."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra import config, sam_template
from infra.chalice import deployed_resources, stage_settings
from infra.functions import EMAILS, FUNCTIONS
from infra.smoke_test import Check, DeployedStage
from tests import moto_stage

STAGE = config.Stage("dev", {"MAIL_FROM": "mail@school.edu"})
DOMAIN = "https://api.school.edu"
WITH_DOMAIN = config.Stage("dev", {"MAIL_FROM": "mail@school.edu", "PUBLIC_BASE_URL": DOMAIN})
WORKER = EMAILS.lambda_name("dev")


@pytest.fixture(autouse=True)
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mock AWS in one region, without the URL that `make run` sets."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("EDUFLOW_API_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(boto3, "client", cache(boto3.Session().client))
    with mock_aws():
        yield


@pytest.fixture
def deployed() -> str:
    """The URL of a deployed stage whose email worker does not know it."""
    api = moto_stage.create("dev")
    _configure({"STAGE": "dev", "APP_URL": "https://school.edu/account"})
    return f"https://{api}.execute-api.eu-west-1.amazonaws.com/dev"


def _configure(variables: dict[str, str]) -> None:
    boto3.client("lambda").update_function_configuration(FunctionName=WORKER, Environment={"Variables": variables})


def _variables() -> dict[str, str]:
    found: dict[str, str] = boto3.client("lambda").get_function_configuration(FunctionName=WORKER)["Environment"][
        "Variables"
    ]
    return found


def test_url_is_that_of_the_deployed_stage(deployed: str) -> None:
    assert deployed_resources.api_url(STAGE) == deployed


def test_url_of_a_stage_that_is_not_deployed_is_unknown() -> None:
    assert deployed_resources.api_url(STAGE) == ""


def test_custom_domain_comes_before_the_stage(deployed: str) -> None:
    assert deployed_resources.api_url(WITH_DOMAIN) == DOMAIN


def test_url_of_make_run_comes_before_the_stage(deployed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUFLOW_API_URL", "http://127.0.0.1:8000")

    assert deployed_resources.api_url(STAGE) == "http://127.0.0.1:8000"


def test_url_on_a_local_aws_names_the_api_in_the_host(deployed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = deployed_resources.rest_api_id("dev")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setattr(deployed_resources, "_rest_api", lambda _: iter([{"rest_api_id": api}]))

    assert deployed_resources.api_url(STAGE) == f"http://{api}.execute-api.localhost:4566/dev"


def test_url_is_set_after_the_first_deploy_and_keeps_other_settings(deployed: str) -> None:
    stage_settings.set_api_url("dev", deployed)

    assert _variables() == {"STAGE": "dev", "APP_URL": "https://school.edu/account", "API_URL": deployed}


def test_changed_url_replaces_the_old_one(deployed: str) -> None:
    stage_settings.set_api_url("dev", deployed)
    stage_settings.set_api_url("dev", DOMAIN)

    assert _variables()["API_URL"] == DOMAIN


def test_function_with_the_url_is_not_updated(deployed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_settings.set_api_url("dev", deployed)
    updated = _record_updates(monkeypatch)

    stage_settings.set_api_url("dev", deployed)

    assert updated == []


def test_url_is_set_once_the_new_function_accepts_it(deployed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda refuses changes of a function that is being created."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    updated = _record_updates(monkeypatch, refusals=2)

    stage_settings.set_api_url("dev", deployed)

    assert len(updated) == 3
    assert _variables()["API_URL"] == deployed


def _record_updates(monkeypatch: pytest.MonkeyPatch, refusals: int = 0) -> list[dict[str, Any]]:
    client = boto3.client("lambda")
    update, updated = client.update_function_configuration, list[dict[str, Any]]()

    def update_unless_refused(**parameters: Any) -> Any:
        updated.append(parameters)
        if len(updated) <= refusals:
            raise ClientError({"Error": {"Code": "ResourceConflictException"}}, "UpdateFunctionConfiguration")
        return update(**parameters)

    client.update_function_configuration = update_unless_refused
    monkeypatch.setattr(boto3, "client", lambda service, **_: client)
    return updated


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (STAGE, {"Fn::Sub": "https://${RestAPI}.execute-api.${AWS::Region}.${AWS::URLSuffix}/dev"}),
        (WITH_DOMAIN, DOMAIN),
    ],
    ids=["stage", "domain"],
)
def test_package_gives_the_url_to_the_email_worker_alone(stage: config.Stage, expected: Any) -> None:
    resources = sam_template.merge_template(stage)["Resources"]

    variables = {
        function.name: resources[function.resource]["Properties"].get("Environment", {}).get("Variables", {})
        for function in FUNCTIONS
    }
    assert variables.pop("emails") == {"API_URL": expected}
    assert not any(variables.values())


def _check(stage: config.Stage) -> Check:
    [check] = [one for one in DeployedStage(stage).setting_checks() if "emails" in one.title]
    return check


@pytest.mark.usefixtures("deployed")
def test_smoke_test_finds_a_worker_without_the_url() -> None:
    assert not _check(STAGE).holds()


def test_smoke_test_finds_the_url_of_another_api(deployed: str) -> None:
    stage_settings.set_api_url("dev", deployed)

    assert _check(STAGE).holds()
    assert not _check(WITH_DOMAIN).holds()


def test_smoke_test_of_make_run_accepts_its_url(deployed: str) -> None:
    """A command next to `make run` does not know at which port that serves the API."""
    moto_stage.create("local")
    boto3.client("lambda").update_function_configuration(
        FunctionName=EMAILS.lambda_name("local"), Environment={"Variables": {"API_URL": "http://127.0.0.1:8000"}}
    )

    assert _check(config.Stage("local", STAGE.variables)).holds()
