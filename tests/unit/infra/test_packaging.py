"""The deployed package, the API's definition, the policies, and the methods of Chalice."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import requires, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import cfnlint.decode.cfn_yaml
import pytest
from botocore.model import ServiceModel
from botocore.regions import EndpointResolver
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
from infra.platforms import SUPPORTED_REGIONS
from infra.stacks import DATA
from tests.stack import copy_project, package

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


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without its package, with the dependencies that ship."""
    folder = copy_project(tmp_path_factory.mktemp("project"), has_package=False)
    deployments = folder / ".chalice" / "deployments"
    deployments.mkdir()
    for dependencies in package().parent.glob("dependencies-*"):
        (deployments / dependencies.name).symlink_to(dependencies)
    return folder


@pytest.fixture
def built(project: Path) -> Path:
    """The package for this machine."""
    return packager.build(str(project), RUNTIME, (), say=str)


def test_package_has_all_imports_of_the_functions(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        archive.extractall(tmp_path)
    workers = "chalicelib.handlers.workers"
    modules = f"app, {workers}.emails, {workers}.daily_report, {workers}.cleanup, jwt, passlib.hash, boto3"
    script = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import {modules}"
    environment = {"STAGE": "test", "MAIL_FROM": "x@example.org", "AWS_DEFAULT_REGION": "us-east-1"}

    # -I -S: of this machine's packages, none can help
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], env=environment, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stderr


@pytest.mark.long
@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", "x86_64"), ("arm64", "aarch64")])
def test_shipped_dependencies_have_wheels_for_lambda(tmp_path: Path, architecture: str, machine: str) -> None:
    project = copy_project(tmp_path, has_package=False)  # without dependencies that were installed earlier
    built = packager.build(str(project), "python3.12", packager.LAMBDA_PLATFORMS[architecture], say=str)

    names = zipfile.ZipFile(built).namelist()
    binaries = [name for name in names if name.endswith(".so")]
    assert binaries
    assert all(f"cpython-312-{machine}-linux-gnu" in name or ".abi3." in name for name in binaries), binaries


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


def test_endpoints_of_the_services_are_those_of_botocore(built: Path) -> None:
    name = "botocore/data/endpoints.json"
    packaged = EndpointResolver(json.loads(zipfile.ZipFile(built).read(name)))
    original = EndpointResolver(json.loads((Path(botocore.__file__).parents[1] / name).read_text()))

    session = botocore.session.get_session()
    for service_name, prefix in packager.AWS_SERVICES.items():
        assert session.get_service_model(service_name).endpoint_prefix == prefix
        for region in SUPPORTED_REGIONS:
            endpoint = original.construct_endpoint(prefix, region)
            assert endpoint is not None
            assert packaged.construct_endpoint(prefix, region) == endpoint, (prefix, region)
    # Each process reads this file before it creates a client.
    assert zipfile.ZipFile(built).getinfo(name).file_size < 50_000


@pytest.mark.parametrize("service", packager.AWS_SERVICES)
def test_descriptions_of_the_services_are_those_of_botocore_without_documentation(built: Path, service: str) -> None:
    original = botocore.session.get_session().get_service_model(service)
    name = f"botocore/data/{service}/{original.api_version}/service-2.json"
    text = zipfile.ZipFile(built).read(name).decode()
    packaged = ServiceModel(json.loads(text), service)

    assert packaged.metadata == original.metadata
    assert packaged.operation_names == original.operation_names
    assert packaged.shape_names == original.shape_names
    for shape in map(packaged.shape_for, packaged.shape_names):
        members = getattr(original.shape_for(shape.name), "members", {})
        assert getattr(shape, "members", {}).keys() == members.keys(), shape.name
    assert '"documentation": "' not in text


def test_package_has_bytecode_and_nothing_unneeded(built: Path) -> None:
    names = zipfile.ZipFile(built).namelist()

    sources = {name for name in names if name.endswith(".py")}
    compiled = {
        name.replace("__pycache__/", "").partition(".cpython")[0] + ".py" for name in names if name.endswith(".pyc")
    }
    assert sources <= compiled
    for folder in ("pip/", "setuptools/", "moto/", "tests/", "infra/", "devstack/", "botocore/data/ec2/", "bin/"):
        assert not any(name.startswith(folder) for name in names), folder


def test_package_has_the_files_that_functions_read(built: Path) -> None:
    folders = ("data", "pages", "templates")
    files = [path for folder in folders for path in (PROJECT / "chalicelib" / folder).iterdir() if path.is_file()]

    archive = zipfile.ZipFile(built)
    assert {path.suffix for path in files} >= {".css", ".gz", ".html", ".js", ".json", ".txt"}
    for path in files:
        assert archive.read(str(path.relative_to(PROJECT))) == path.read_bytes()


def test_package_is_reproducible(project: Path, built: Path) -> None:
    before = built.read_bytes()
    built.unlink()
    again = packager.build(str(project), RUNTIME, (), say=str)
    with (project / "app.py").open("a") as source:
        source.write("# another line\n")
    other = packager.build(str(project), RUNTIME, (), say=str)

    assert again == built
    assert again.read_bytes() == before
    assert other != built


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
