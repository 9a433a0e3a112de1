"""The deployed package, the API's definition, the policies, and the methods of Chalice."""

import json
import re
import sys
import tomllib
from importlib.metadata import requires, version
from types import SimpleNamespace
from typing import Any

import cfnlint.decode.cfn_yaml
import pytest
from botocore.waiter import SingleWaiterConfig
from chalice.awsclient import TypedAWSClient
from chalice.cli.filewatch.stat import StatFileWatcher
from chalice.config import Config
from chalice.deploy.appgraph import ApplicationGraphBuilder
from chalice.deploy.deployer import PolicyGenerator, ResultsRecorder
from chalice.deploy.packager import LambdaDeploymentPackager
from chalice.deploy.planner import RemoteState
from chalice.deploy.swagger import SwaggerGenerator

from infra.chalice import api_definition, packager, plugin
from infra.config import PROJECT
from infra.stacks import DATA

RESOURCES = cfnlint.decode.cfn_yaml.load(str(DATA))["Resources"]
RUNTIME = f"python3.{sys.version_info.minor}"


def test_chalice_has_the_methods_that_the_plugin_replaces() -> None:
    assert version("chalice") == "1.34.0"
    for owner, name in (
        (SwaggerGenerator, "generate_swagger"),
        (ApplicationGraphBuilder, "_build_lambda_function"),
        (Config, "deployed_resources"),
        (RemoteState, "resource_exists"),
        (LambdaDeploymentPackager, "create_deployment_package"),
        (PolicyGenerator, "handle_filebasediampolicy"),
        (ResultsRecorder, "record_results"),
        (TypedAWSClient, "create_role"),
        (TypedAWSClient, "put_role_policy"),
        (SingleWaiterConfig, "__init__"),
        (StatFileWatcher, "_recursive_walk_files"),
        (StatFileWatcher, "_seed_mtime_cache"),
    ):
        assert callable(getattr(owner, name))


def test_shipped_requirements_are_complete() -> None:
    """Installed with --no-deps, so each requirement of a requirement is named, at a version that fits."""
    from packaging.requirements import Requirement

    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line.rstrip("\\ ")) for line in lines if line[:1].isalnum()]
    pinned = {pin.name: pin for pin in pins}
    for name in (name for name, one in pinned.items() if one.marker is None or one.marker.evaluate()):
        for requirement in map(Requirement, requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert requirement.name.lower().replace("_", "-") in pinned, f"{name} needs {requirement}"


@pytest.mark.parametrize("name", ["", "-deploy", "-dev"])
def test_every_requirement_has_hashes(name: str) -> None:
    text = (PROJECT / f"requirements{name}.txt").read_text()

    assert text.count("==") > 20
    for block in re.split(r"\n(?=\w)", text.partition("\n")[2]):
        assert "--hash=sha256:" in block or block.startswith("#"), block


def test_locked_requirements_are_the_direct_ones_of_pyproject() -> None:
    """After a change of pyproject.toml, `make lock` writes the files again."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    direct = {"": project["dependencies"]}
    direct |= {f"-{name}": pins for name, pins in project["optional-dependencies"].items()}
    for name, pins in direct.items():
        text = (PROJECT / f"requirements{name}.txt").read_text()
        for pin in pins:
            locked = re.sub(r"\[.+\]", "", pin)  # without extras
            assert f"\n{locked} " in text, f"requirements{name}.txt has no {locked}: run `make lock`"


@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", "x86_64"), ("arm64", "aarch64")])
def test_package_is_built_for_the_architecture_of_the_functions(
    monkeypatch: pytest.MonkeyPatch, architecture: str, machine: str
) -> None:
    used: list[str] = []
    monkeypatch.setattr(packager, "build", lambda *arguments, say: used.extend(arguments[2]))
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setattr(LambdaDeploymentPackager, "create_deployment_package", None)
    plugin._replace_packager()

    chalice: Any = LambdaDeploymentPackager
    chalice(None, None, SimpleNamespace(write=str), architecture).create_deployment_package("", RUNTIME)

    assert used and all(platform.endswith(machine) for platform in used)


def preflight() -> dict[str, Any]:
    response = {"statusCode": "200", "responseParameters": {}}
    return {
        "responses": {"200": {"headers": {}}},
        "x-amazon-apigateway-integration": {"type": "mock", "responses": {"default": response}},
    }


def test_gateway_responses_are_problems() -> None:
    swagger = api_definition.extend({"paths": {"/api/health": {"get": {}, "options": preflight()}}}, "uri")
    responses: dict[str, Any] = swagger["x-amazon-apigateway-gateway-responses"]

    assert responses["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"
    for response in responses.values():
        parameters = response["responseParameters"]
        problem = json.loads(response["responseTemplates"]["application/json"])
        assert str(problem["status"]) == response["statusCode"]
        assert {"type", "title", "status", "detail", "instance", "request_id"} == set(problem)
        assert parameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert parameters["gatewayresponse.header.X-Content-Type-Options"] == "'nosniff'"
        assert parameters["gatewayresponse.header.Strict-Transport-Security"] == "'max-age=31536000'"
        assert parameters["gatewayresponse.header.Cache-Control"] == "'no-store'"
        assert parameters["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
    assert "gatewayresponse.header.WWW-Authenticate" in responses["UNAUTHORIZED"]["responseParameters"]
    assert "gatewayresponse.header.Retry-After" in responses["THROTTLED"]["responseParameters"]
    assert "x-amazon-apigateway-any-method" in swagger["paths"]["/api/health"]
