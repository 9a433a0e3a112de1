"""`make deploy` and `make destroy` on an empty AWS: first deploy, repetition, deploy after a kill, deletion."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests

from devstack.stack import Stack, free_ports
from infra.chalice.stage_settings import RATE_PER_SECOND
from infra.functions import EMAILS, FUNCTIONS
from infra.local_stage import aws_environment
from tests.stack import copy_project

pytestmark = pytest.mark.timeout(600)
MAX_SKIPPED_STEPS = 3  # of ten


class Empty:
    """An empty AWS and a project to deploy there."""

    def __init__(self, folder: Path) -> None:
        self.project = copy_project(folder / "project", has_package=False)  # to be killed while it is built
        self.aws = Stack(self.project, folder / "home", *free_ports(2))
        self.environment = self.aws.environment | {"PYTHONPATH": str(self.project)}
        for name in ("CACHE_URL", "STAGE", "MAIL_FROM"):  # what no shell of an operator has
            self.environment.pop(name, None)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.project, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    def run_plain_chalice_deploy(self) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("chalice")), "deploy", "--stage", "local"]
        return subprocess.run(
            command, cwd=self.project, env=self.environment, capture_output=True, text=True, check=False
        )

    def killed_once(self, is_reached: Callable[[], Any], *command: str) -> None:
        """Kill a command as soon as it has reached a step, and fail if it ends before."""
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.project, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        while process.poll() is None and not is_reached():
            time.sleep(0.01)
        assert process.poll() is None, "the command ended before the step"
        os.killpg(process.pid, 9)
        process.wait()

    def client(self, service: str) -> Any:
        settings = aws_environment(self.aws.aws_url)
        return boto3.client(
            service, endpoint_url=self.aws.aws_url, region_name=settings["AWS_DEFAULT_REGION"],
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Empty]:
    empty = Empty(tmp_path_factory.mktemp("deploy"))
    empty.aws.start()
    yield empty
    empty.aws.stop()


def url_in_emails(empty: Empty) -> str:
    worker = empty.client("lambda").get_function_configuration(FunctionName=EMAILS.lambda_name("local"))
    return str(worker["Environment"]["Variables"]["API_URL"])


DOMAIN = "api.school.localhost"  # the local stack has no other hosts
DEPLOY = ("infra.deploy", "deploy", "local", "--yes")


def test_smoke_test_names_a_missing_stage(empty: Empty) -> None:
    missing = empty.run("infra.smoke_test", "local")

    assert missing.returncode == 1
    assert "is not deployed" in missing.stderr


def test_deploy_without_terminal_and_yes_is_refused(empty: Empty) -> None:
    refused = empty.run("infra.deploy", "deploy", "local")

    assert refused.returncode == 1
    assert "YES=1" in refused.stderr
    assert empty.client("cloudformation").describe_stacks()["Stacks"] == []


def test_killed_deploy_is_completed_by_the_next(empty: Empty) -> None:
    skipped = []
    for number, is_reached in enumerate(_steps(empty)):
        if is_reached():  # on a busy machine, a deploy reaches two steps before the signal
            skipped.append(number)
        else:
            empty.killed_once(is_reached, *DEPLOY)
    assert len(skipped) <= MAX_SKIPPED_STEPS, skipped

    done = empty.run(*DEPLOY)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "a batch returns only its failed messages to the queue" in done.stdout
    url = urlsplit(done.stdout.rpartition("Deployed: ")[2].strip())
    assert url.hostname is not None and url.hostname.endswith(".execute-api.localhost")
    page = requests.get(
        f"{empty.aws.aws_url}{url.path}courses-public/?limit=1", headers={"Host": url.netloc}, timeout=30
    )
    assert page.json()["results"] == []
    assert f"{url_in_emails(empty)}/api/v1/" == url.geturl()
    apis = [api["name"] for api in empty.client("apigateway").get_rest_apis()["items"]]
    assert len(apis) == len(set(apis)), "one API, however often it was begun"


def _steps(empty: Empty) -> list[Callable[[], Any]]:
    """Return what shows the steps of a first deploy, in their order: from the change sets to the API's stage."""
    cloudformation, functions, gateway = map(empty.client, ("cloudformation", "lambda", "apigateway"))
    tables, packages = empty.client("dynamodb"), empty.project / ".chalice" / "deployments"

    def has_functions(number: int) -> bool:
        return len(functions.list_functions()["Functions"]) >= number

    def has_stage() -> bool:
        apis = gateway.get_rest_apis()["items"]
        return any(gateway.get_stages(restApiId=api["id"])["item"] for api in apis)

    return [
        lambda: cloudformation.describe_stacks()["Stacks"],
        lambda: tables.list_tables()["TableNames"],
        lambda: [*packages.glob("tmp*/site/*")],  # pip installs
        lambda: [*packages.glob("dependencies-*")],
        lambda: has_functions(1),
        lambda: has_functions(3),
        lambda: functions.list_event_source_mappings()["EventSourceMappings"],
        lambda: has_functions(5),
        lambda: gateway.get_rest_apis()["items"],
        has_stage,
    ]


def test_deploy_from_another_machine_updates_the_stage(empty: Empty, tmp_path: Path) -> None:
    """The file in which Chalice records deployed resources is not in the repository."""
    before = {function["FunctionName"] for function in empty.client("lambda").list_functions()["Functions"]}
    [api] = [api["id"] for api in empty.client("apigateway").get_rest_apis()["items"]]
    shutil.rmtree(empty.project / ".chalice" / "deployed")

    done = empty.run_plain_chalice_deploy()

    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["id"] for one in empty.client("apigateway").get_rest_apis()["items"]] == [api]
    assert {function["FunctionName"] for function in empty.client("lambda").list_functions()["Functions"]} == before
    sources = empty.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    queues = [function.queue for function in FUNCTIONS if function.queue]
    assert len({source["EventSourceArn"] for source in sources}) == len(sources) == len(queues)


def test_second_deploy_changes_nothing(empty: Empty) -> None:
    functions = empty.client("lambda").list_functions()["Functions"]
    before = {function["FunctionName"]: function["CodeSha256"] for function in functions}

    done = empty.run(*DEPLOY)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "eduflow-local: none" in done.stdout
    functions = empty.client("lambda").list_functions()["Functions"]
    assert {function["FunctionName"]: function["CodeSha256"] for function in functions} == before


def test_custom_domain_is_created_and_deleted(empty: Empty) -> None:
    file = empty.project / ".chalice" / "config.json"
    before = file.read_text()
    document = json.loads(before)
    certificate = f"arn:aws:acm:us-east-1:000000000000:certificate/{'0' * 8}"
    document["stages"]["local"]["parameters"] = {"domain_name": DOMAIN, "certificate_arn": certificate}
    file.write_text(json.dumps(document))
    try:
        done = empty.run(*DEPLOY)
        page = requests.get(
            f"{empty.aws.aws_url}/api/v1/courses-public/", headers={"Host": DOMAIN}, params={"limit": 1}, timeout=30
        )
        in_emails = url_in_emails(empty)
    finally:
        file.write_text(before)
    removed = empty.run(*DEPLOY)

    assert done.returncode == 0, done.stdout + done.stderr
    assert in_emails == f"https://{DOMAIN}"
    assert f"Custom domain: https://{DOMAIN} once its DNS record is a CNAME of " in done.stdout
    assert (page.status_code, page.json()["results"]) == (200, [])
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert "eduflow-local-domain: deleted" in removed.stdout
    assert DOMAIN not in url_in_emails(empty)
    assert empty.client("apigateway").get_domain_names()["items"] == []


def test_deploy_previews_a_changed_template(empty: Empty) -> None:
    template = empty.project / "infra" / "templates" / "data.yaml"
    before = template.read_text()
    template.write_text(before.replace("VisibilityTimeout: 360", "VisibilityTimeout: 420", 1))
    try:
        done = empty.run(*DEPLOY)
    finally:
        template.write_text(before)

    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout.partition("Updating eduflow-local")[0]
    assert "Modify  AWS::SQS::Queue Emails" in shown


def test_smoke_test_finds_missing_settings(empty: Empty) -> None:
    gateway, functions = empty.client("apigateway"), empty.client("lambda")
    [api] = [api for api in gateway.get_rest_apis()["items"] if api["name"] == "eduflow"]
    [emails] = functions.list_event_source_mappings(FunctionName="eduflow-local-emails")["EventSourceMappings"]

    def throttle(rate: int) -> None:
        patch = {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": str(rate)}
        gateway.update_stage(restApiId=api["id"], stageName="local", patchOperations=[patch])

    throttle(1)
    without_throttling = empty.run("infra.smoke_test", "local")
    throttle(RATE_PER_SECOND)
    functions.update_event_source_mapping(UUID=emails["UUID"], FunctionResponseTypes=[])
    without_partial_failures = empty.run("infra.smoke_test", "local")
    functions.update_event_source_mapping(UUID=emails["UUID"], FunctionResponseTypes=["ReportBatchItemFailures"])
    functions.update_function_configuration(FunctionName=EMAILS.lambda_name("local"), Environment={"Variables": {}})
    without_url = empty.run("infra.smoke_test", "local")

    assert "the stage has its throttling" in without_throttling.stderr
    assert "a batch returns only its failed messages" in without_partial_failures.stderr
    assert "links in emails lead to this API" in without_url.stderr
    assert empty.run(*DEPLOY).returncode == 0, "a deploy makes up for them"
    assert empty.run("infra.smoke_test", "local").returncode == 0


def test_destroy_keeps_the_tables(empty: Empty) -> None:
    refused = empty.run("infra.deploy", "destroy", "local", "--confirm", "prod")
    assert refused.returncode != 0
    assert empty.run("infra.smoke_test", "local").returncode == 0

    done = empty.run("infra.deploy", "destroy", "local", "--confirm", "local")

    assert done.returncode == 0, done.stdout + done.stderr
    assert empty.client("lambda").list_functions()["Functions"] == []
    assert "eduflow-users-local" in empty.client("dynamodb").list_tables()["TableNames"]


def test_deploy_after_destroy_imports_the_tables(empty: Empty) -> None:
    item = {"name": {"S": "user#kept"}, "user_id": {"S": "0" * 16}}
    empty.client("dynamodb").put_item(TableName="eduflow-identities-local", Item=item)

    done = empty.run(*DEPLOY)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Import  AWS::DynamoDB::Table Users" in done.stdout
    kept = empty.client("dynamodb").get_item(TableName="eduflow-identities-local", Key={"name": item["name"]})
    assert kept["Item"] == item
    assert "eduflow-local: none" in empty.run(*DEPLOY).stdout
