"""The package that is deployed, as it is built for this machine."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.regions import EndpointResolver

from infra.chalice import packager
from infra.config import PROJECT
from infra.platforms import SUPPORTED_REGIONS
from tests.stack import copy_project, package

RUNTIME = f"python3.{sys.version_info.minor}"


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
