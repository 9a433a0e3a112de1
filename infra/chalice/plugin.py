"""Extensions of `chalice deploy` and `chalice package` that no option of Chalice covers.

app.py installs them when the Chalice CLI loads the app; they are never shipped. They replace methods of Chalice that
are no public API, so Chalice is pinned and a test checks that they exist.
"""

import json
import os
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
from botocore.waiter import SingleWaiterConfig
from chalice.awsclient import TypedAWSClient
from chalice.config import Config, DeployedResources
from chalice.deploy.appgraph import ApplicationGraphBuilder
from chalice.deploy.deployer import PolicyGenerator, ResultsRecorder
from chalice.deploy.packager import LambdaDeploymentPackager
from chalice.deploy.planner import RemoteState
from chalice.deploy.swagger import SwaggerGenerator

from infra import email_sender, vpc
from infra.chalice import api_definition, deployed_resources, packager, stage_settings
from infra.cloudformation import STAGE_TAG
from infra.config import LOCAL, load_stage
from infra.functions import EMAILS, FUNCTIONS

_LOCAL_POLL_SECONDS = 0.05
_IN_VPC = {function.name for function in FUNCTIONS if function.uses_cache}
_POLICIES_IN_VPC = {function.policy_file for function in FUNCTIONS if function.uses_cache}


def install() -> None:
    """Extend Chalice in this process; repeated calls do nothing."""
    if getattr(SwaggerGenerator, "_eduflow", False):
        return
    SwaggerGenerator._eduflow = True  # type: ignore[attr-defined]
    _extend_api_definition()
    _replace_packager()
    _complete_policies()
    _bound_roles()
    _configure_functions()
    _load_deployed_from_aws()
    _apply_post_deploy_settings()
    if os.environ.get("AWS_ENDPOINT_URL"):
        _shorten_waiters()


def _extend_api_definition() -> None:
    generate = SwaggerGenerator.generate_swagger

    def generate_swagger(self: Any, app: Any, rest_api: Any = None) -> dict[str, Any]:
        return api_definition.extend(generate(self, app, rest_api), self._uri())

    SwaggerGenerator.generate_swagger = generate_swagger  # type: ignore[method-assign]


def _replace_packager() -> None:
    def create_deployment_package(self: Any, project_dir: str, python_version: str) -> str:
        runs_here = os.environ["STAGE"] == LOCAL or _has_host_functions()
        platforms = () if runs_here else packager.LAMBDA_PLATFORMS[self._architecture]
        return str(packager.build(project_dir, python_version, platforms, say=self._ui.write))

    LambdaDeploymentPackager.create_deployment_package = create_deployment_package  # type: ignore[method-assign]


def _has_host_functions() -> bool:
    """Whether the AWS of this deploy runs functions as processes of this machine, which may not be Linux."""
    return os.environ.get("EDUFLOW_HOST_FUNCTIONS") == "true"


def _complete_policies() -> None:
    def handle_filebasediampolicy(self: Any, config: Config, resource: Any) -> None:
        stage = load_stage(config.chalice_stage)
        text = self._osutils.get_file_contents(resource.filename, binary=False)
        policy = json.loads(text.replace("${stage}", stage.name))
        _name_sender(policy, stage.sender)
        if Path(resource.filename).name in _POLICIES_IN_VPC and _needs_eni_permissions(stage.name):
            policy["Statement"] += [vpc.ENI_PERMISSIONS, vpc.only_lambda_attaches(stage.name)]
        resource.document = policy

    PolicyGenerator.handle_filebasediampolicy = handle_filebasediampolicy  # type: ignore[method-assign]


def _name_sender(policy: dict[str, Any], sender: str) -> None:
    """Complete the statement about emails: SES authorizes the identity that it uses, an address or one of its domains.

    In the sandbox, SES also authorizes the recipient: its identity would have to be added.
    """
    for statement in policy["Statement"]:
        if "Condition" in statement:
            statement["Condition"]["StringEquals"]["ses:FromAddress"] = sender
            names = email_sender.identities(sender)
            statement["Resource"] = [one.replace("${sender}", name) for one in statement["Resource"] for name in names]


def _bound_roles() -> None:
    """Give the functions' roles the stage's permissions boundary, for which Chalice has no option."""
    create_role, put_role_policy = TypedAWSClient.create_role, TypedAWSClient.put_role_policy

    def create_bound_role(self: Any, *arguments: Any, **named: Any) -> str:
        if boundary := _boundary():
            event, add = "provide-client-params.iam.CreateRole", partial(_with_boundary, boundary)
            self._client("iam").meta.events.register(event, add, unique_id="eduflow-boundary")
        return str(create_role(self, *arguments, **named))

    def put_policy_of_bound_role(self: Any, role_name: str, *arguments: Any, **named: Any) -> None:
        if boundary := _boundary():  # a role of an earlier deploy has none, or another one
            self._client("iam").put_role_permissions_boundary(RoleName=role_name, PermissionsBoundary=boundary)
        put_role_policy(self, role_name, *arguments, **named)

    TypedAWSClient.create_role = create_bound_role  # type: ignore[method-assign]
    TypedAWSClient.put_role_policy = put_policy_of_bound_role  # type: ignore[method-assign]


def _boundary() -> str:
    return load_stage(os.environ["STAGE"]).permissions_boundary


def _with_boundary(boundary: str, params: dict[str, Any], **_: Any) -> dict[str, Any]:
    return params | {"PermissionsBoundary": boundary}


def _configure_functions() -> None:
    """Set what follows from the stage's parameters (the VPC, URLs) and from its deployed API (its URL)."""
    build = ApplicationGraphBuilder._build_lambda_function

    def build_lambda_function(self: Any, config: Config, name: str, *arguments: Any, **named: Any) -> Any:
        function = build(self, config, name, *arguments, **named)
        stage = load_stage(config.chalice_stage)
        function.environment_variables = function.environment_variables | stage.variables
        function.tags = function.tags | {STAGE_TAG: stage.name}
        if name in _IN_VPC and stage.cache:
            vpc_config = _vpc_config(stage.name)
            function.subnet_ids = vpc_config.subnet_ids
            function.security_group_ids = vpc_config.security_group_ids
            function.environment_variables["CACHE_URL"] = vpc_config.cache_url
        if name == EMAILS.name and _command() == "deploy" and (url := deployed_resources.api_url(stage)):
            function.environment_variables["API_URL"] = url
        return function

    ApplicationGraphBuilder._build_lambda_function = build_lambda_function  # type: ignore[method-assign]


def _load_deployed_from_aws() -> None:
    """Replace what Chalice read from its file: it did so before it loaded the app and this module."""

    def load_deployed_resources(self: Any, chalice_stage_name: str) -> DeployedResources:
        return _deployed(chalice_stage_name)

    resource_exists = RemoteState.resource_exists

    def resource_exists_on_aws(self: Any, resource: Any, *arguments: Any) -> bool:
        self._deployed_resources = _deployed(os.environ["STAGE"])
        return bool(resource_exists(self, resource, *arguments))

    Config.deployed_resources = load_deployed_resources  # type: ignore[method-assign]
    RemoteState.resource_exists = resource_exists_on_aws  # type: ignore[method-assign]


@cache
def _deployed(stage_name: str) -> DeployedResources:
    return DeployedResources(deployed_resources.chalice_file(stage_name))


@cache
def _vpc_config(stage_name: str) -> vpc.VpcConfig:
    match _command():
        case "package":
            return vpc.imported(stage_name)
        case "delete":
            return vpc.NO_VPC
    return vpc.deployed(stage_name)


@cache
def _needs_eni_permissions(stage_name: str) -> bool:
    """Also while a function is leaving the VPC: Lambda deletes its network interfaces with these permissions."""
    if load_stage(stage_name).cache:
        return True
    return _command() == "deploy" and vpc.exists(stage_name)


def _command() -> str:
    """Return the name of the Chalice command that runs."""
    context = click.get_current_context(silent=True)
    return str(context.info_name) if context else ""


def _apply_post_deploy_settings() -> None:
    record = ResultsRecorder.record_results

    def record_results(self: Any, results: Any, chalice_stage_name: str, project_dir: str) -> None:
        record(self, results, chalice_stage_name, project_dir)
        if not results["resources"]:  # after `chalice delete`
            return
        stage = load_stage(chalice_stage_name)
        stage_settings.apply_post_deploy_settings(results["resources"], chalice_stage_name, stage.variables)
        stage_settings.set_api_url(chalice_stage_name, deployed_resources.api_url(stage))

    ResultsRecorder.record_results = record_results  # type: ignore[method-assign]


def _shorten_waiters() -> None:
    """Poll a local AWS often: its changes take milliseconds, and botocore's waiters poll every few seconds."""
    init = SingleWaiterConfig.__init__

    def init_with_short_delay(self: Any, waiter_config: dict[str, Any]) -> None:
        init(self, waiter_config | {"delay": _LOCAL_POLL_SECONDS})

    SingleWaiterConfig.__init__ = init_with_short_delay
