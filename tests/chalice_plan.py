"""``python -m tests.chalice_plan``: the calls that `chalice deploy` plans for partly deployed stages, as JSON.

The stage is in moto, and Chalice's own planner and sweeper plan with the project's extensions of them. A process of its
own, because these replace methods of Chalice.
"""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import boto3
import botocore.session
import click
from chalice.cli.factory import CLIFactory
from chalice.deploy import deployer
from chalice.deploy.executor import BaseExecutor
from chalice.deploy.models import APICall
from chalice.utils import UI
from moto import mock_aws

from infra import config
from infra.chalice import packager, plugin
from infra.functions import API, FUNCTIONS
from tests import moto_stage
from tests.unit import moto_patches

STAGE = "dev"


class _PlanRecorder(BaseExecutor):
    """Record the planned calls without making them."""

    calls: ClassVar[list[list[str]]] = []

    def execute(self, plan: Any) -> None:
        """Record each call that changes a resource, with the resource, and the URL that a function gets."""
        for one in plan.instructions:
            if isinstance(one, APICall):
                names = [str(one.params[key]) for key in ("function_name", "name", "rule_name") if key in one.params]
                variables = one.params.get("environment_variables", {})
                urls = [variables["API_URL"]] if "API_URL" in variables else []
                self.calls.append([one.method_name, *names[:1], *urls])


def planned() -> list[list[str]]:
    """Return the calls that `chalice deploy` plans now."""
    plugin._deployed.cache_clear()
    settings = CLIFactory(str(config.PROJECT), environ={}).create_config_obj(chalice_stage_name=STAGE)
    _PlanRecorder.calls = []
    session = botocore.session.get_session()
    plan = deployer._create_deployer(session, settings, UI(), _PlanRecorder, deployer.NoopResultsRecorder)
    with click.Context(click.Command("deploy"), info_name="deploy"):
        plan.deploy(settings, STAGE)
    return _PlanRecorder.calls


def main() -> None:
    """Print the plans."""
    moto_patches.apply()
    os.environ.update(config.load_stage(STAGE).variables, AWS_CHALICE_CLI_MODE="true", AWS_DEFAULT_REGION="eu-west-1")
    plans = {}
    with TemporaryDirectory() as folder:
        package = Path(folder) / "package.zip"
        package.write_bytes(b"")
        packager.build = lambda *_, **__: package
        with mock_aws():
            plans["nothing"] = planned()
        with mock_aws():  # killed after three functions, before the API had a stage
            api = moto_stage.create(STAGE, FUNCTIONS[:3])
            boto3.client("apigateway").delete_stage(restApiId=api, stageName=STAGE)
            plans["half"] = planned()
        with mock_aws():
            moto_stage.create(STAGE)
            plans["all"] = planned()
        with mock_aws():  # a function that this version does not have
            moto_stage.create(STAGE)
            moto_stage.create_function(f"{API.lambda_name(STAGE)}-obsolete", f"eduflow-{STAGE}-obsolete")
            plans["more"] = planned()
    print(json.dumps(plans))


if __name__ == "__main__":
    main()
