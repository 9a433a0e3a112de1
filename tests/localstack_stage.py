"""The stage ``localstack`` on LocalStack without Docker, with the interface of the embedded stack."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from devstack.localstack import environment
from devstack.localstack.environment import LocalStack
from devstack.stack import free_ports
from infra.config import PROJECT
from infra.local_stage import DEMO_PASSWORD
from tests.clients import Api
from tests.stack import RunningStack

_HEADERS = ("To", "Subject", "List-Unsubscribe", "List-Unsubscribe-Post")
INSTALLED = PROJECT / ".local" / "localstack"


class LocalStackStage(RunningStack):
    """A deployed stage on a LocalStack of its own, started from a copy of this project."""

    stage = "localstack"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        [self.aws_port] = free_ports(1)
        self.localstack = LocalStack(folder / ".local" / "run", self.aws_port)
        self.aws_url = self.localstack.url
        self.log = folder / "functions.log"
        self.process = None

    @property
    def environment(self) -> dict[str, str]:
        return self.localstack.environment

    def start(self) -> None:
        try:
            python = environment.install(INSTALLED)
        except environment.PythonMissing as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        with self.log.open("wb") as output:
            self.localstack.start(python, output)

    def deploy(self) -> subprocess.CompletedProcess[str]:
        """Run `make deploy STAGE=localstack YES=1` and read the API's URL."""
        deployed = self.run("infra.deploy", "deploy", self.stage, "--yes")
        if deployed.returncode == 0:
            [api] = [one for one in self.aws("apigateway").get_rest_apis()["items"] if one["name"] == "eduflow"]
            host = f"{api['id']}.execute-api.localhost:{self.aws_port}"
            assert f"Deployed: http://{host}/{self.stage}/api/v1/" in deployed.stdout, deployed.stdout
            self.api = Api(f"http://{host}/{self.stage}")
        return deployed

    def destroy(self) -> subprocess.CompletedProcess[str]:
        """Run `make destroy STAGE=localstack CONFIRM=localstack`."""
        return self.run("infra.deploy", "destroy", self.stage, "--confirm", self.stage)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in self.environment.items() if name not in ("STAGE", "MAIL_FROM")}
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=self.folder, env=own, capture_output=True, text=True, check=False
        )

    def stop(self, number: int = 0) -> int:
        self.localstack.stop()
        return 0

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments, "--stage", self.stage]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment | environment, capture_output=True, text=True, check=False
        )

    def aws(self, service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.aws_url, region_name="us-east-1", **keys)

    def emails(self, words: str, subject: str = "") -> list[dict[str, Any]]:
        """Return the sent emails with these words in their address or subject, and ``subject`` in the latter."""
        from email import message_from_string
        from email.policy import default

        found = []
        for sent in requests.get(f"{self.aws_url}/_aws/ses", timeout=10).json()["messages"]:
            email = message_from_string(sent["RawData"], policy=default)
            text, page = email.get_body(("plain",)), email.get_body(("html",))
            assert text is not None and page is not None
            fields = {name: email[name] for name in _HEADERS}
            found.append(fields | {"BodyText": text.get_content(), "BodyHtml": page.get_content()})
        found = [one for one in found if words in one["To"] or words in one["Subject"]]
        return [one for one in found if subject in one["Subject"]]


def deployed_localstack(folder: Path) -> LocalStackStage:
    """A new LocalStack with the stage deployed."""
    stack = LocalStackStage(folder)
    stack.start()
    try:
        deployed = stack.deploy()
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        school = stack.manage("demo", EDUFLOW_PASSWORD=DEMO_PASSWORD)
        assert school.returncode == 0, school.stderr
    except BaseException:
        stack.stop()
        raise
    return stack
