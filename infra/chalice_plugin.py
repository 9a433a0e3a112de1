"""What Chalice can't be told by its config.json, put into `chalice deploy` and `chalice package`.

app.py installs it when the Chalice CLI loads the app; it is never shipped. It replaces eight of
Chalice's own methods, which are no public API: chalice is pinned, and a test holds their names.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import click
from botocore.waiter import SingleWaiterConfig
from chalice.config import Config, DeployedResources
from chalice.deploy.appgraph import ApplicationGraphBuilder
from chalice.deploy.deployer import PolicyGenerator, ResultsRecorder
from chalice.deploy.packager import LambdaDeploymentPackager
from chalice.deploy.planner import RemoteState
from chalice.deploy.swagger import SwaggerGenerator

from infra import gateway, network, package, stage, stages, state

_LOCAL_POLL_SECONDS = 0.2


def install() -> None:
    """Extend Chalice in this process; once."""
    if getattr(SwaggerGenerator, "_eduflow", False):
        return
    SwaggerGenerator._eduflow = True  # type: ignore[attr-defined]
    _extend_swagger()
    _replace_packager()
    _complete_policies()
    _put_into_network()
    _remember_by_aws()
    _finish_deploys()
    if os.environ.get("AWS_ENDPOINT_URL"):
        _poll_often()


def _extend_swagger() -> None:
    generate = SwaggerGenerator.generate_swagger

    def generate_swagger(self: Any, app: Any, rest_api: Any = None) -> dict[str, Any]:
        return gateway.extend(generate(self, app, rest_api), self._uri())

    SwaggerGenerator.generate_swagger = generate_swagger  # type: ignore[method-assign]


def _replace_packager() -> None:
    def create_deployment_package(self: Any, project_dir: str, python_version: str) -> str:
        platforms = () if os.environ["STAGE"] == stages.LOCAL else package.LAMBDA_PLATFORMS
        return str(package.build(project_dir, python_version, platforms, say=self._ui.write))

    LambdaDeploymentPackager.create_deployment_package = create_deployment_package  # type: ignore[method-assign]


def _complete_policies() -> None:
    def handle_filebasediampolicy(self: Any, config: Config, resource: Any) -> None:
        text = self._osutils.get_file_contents(resource.filename, binary=False)
        policy = json.loads(text.replace("${stage}", config.chalice_stage))
        if Path(resource.filename).name in network.FUNCTIONS.values() and _needs_network_rights(config.chalice_stage):
            policy["Statement"].append(network.RIGHTS)
        resource.document = policy

    PolicyGenerator.handle_filebasediampolicy = handle_filebasediampolicy  # type: ignore[method-assign]


def _put_into_network() -> None:
    build = ApplicationGraphBuilder._build_lambda_function

    def build_lambda_function(self: Any, config: Config, name: str, *arguments: Any, **named: Any) -> Any:
        function = build(self, config, name, *arguments, **named)
        if name in network.FUNCTIONS and stages.stage(config.chalice_stage).cache:
            place = _place(config.chalice_stage)
            function.subnet_ids, function.security_group_ids = place.subnet_ids, place.security_group_ids
            function.environment_variables = function.environment_variables | {"CACHE_URL": place.cache_url}
        return function

    ApplicationGraphBuilder._build_lambda_function = build_lambda_function  # type: ignore[method-assign]


def _remember_by_aws() -> None:
    """Chalice read its file before it loaded the app and this: so what it took from there is replaced as it is used."""

    def deployed_resources(self: Any, chalice_stage_name: str) -> DeployedResources:
        return _deployed(chalice_stage_name)

    exists = RemoteState.resource_exists

    def resource_exists(self: Any, resource: Any, *arguments: Any) -> bool:
        self._deployed_resources = _deployed(os.environ["STAGE"])
        return bool(exists(self, resource, *arguments))

    Config.deployed_resources = deployed_resources  # type: ignore[method-assign]
    RemoteState.resource_exists = resource_exists  # type: ignore[method-assign]


@cache
def _deployed(stage_name: str) -> DeployedResources:
    return DeployedResources(state.chalice_file(stage_name))


@cache
def _place(stage_name: str) -> network.Place:
    match _command():
        case "package":
            return network.imported(stage_name)
        case "delete":
            return network.NOWHERE
    return network.deployed(stage_name)


@cache
def _needs_network_rights(stage_name: str) -> bool:
    """Also while a function is only leaving the network: with its rights Lambda takes its addresses back."""
    if stages.stage(stage_name).cache:
        return True
    return _command() == "deploy" and network.is_there(stage_name)


def _command() -> str:
    """Which of Chalice's commands runs."""
    context = click.get_current_context(silent=True)
    return str(context.info_name) if context else ""


def _finish_deploys() -> None:
    record = ResultsRecorder.record_results

    def record_results(self: Any, results: Any, chalice_stage_name: str, project_dir: str) -> None:
        record(self, results, chalice_stage_name, project_dir)
        stage.finish(results["resources"], chalice_stage_name, stages.stage(chalice_stage_name).variables)

    ResultsRecorder.record_results = record_results  # type: ignore[method-assign]


def _poll_often() -> None:
    """A local AWS is done at once, where botocore would look again after seconds."""
    init = SingleWaiterConfig.__init__

    def init_with_short_delay(self: Any, config: dict[str, Any]) -> None:
        init(self, config | {"delay": _LOCAL_POLL_SECONDS})

    SingleWaiterConfig.__init__ = init_with_short_delay
