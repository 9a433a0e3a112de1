"""The Lambda package: the shipped dependencies and the app, with bytecode, the same bytes for the same input.

Chalice's own packager asks pip for every dependency again whenever a line of the app changes, and
ships no bytecode, so that every cold start compiles on a read-only file system.
"""

import compileall
import gzip
import hashlib
import json
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chalice
import chalice.app

# What Lambda's Amazon Linux runs, newest first: glibc 2.26 with Python 3.11, 2.34 from 3.12 on. By the values of
# Chalice's setting `lambda_architecture`.
LAMBDA_PLATFORMS = {
    "x86_64": ("manylinux_2_26_x86_64", "manylinux2014_x86_64"),
    "arm64": ("manylinux_2_26_aarch64", "manylinux2014_aarch64"),
}
# The AWS services that the functions call, by their names in botocore, and by those of their endpoints.
AWS_SERVICES = {"dynamodb": "dynamodb", "secretsmanager": "secretsmanager", "ses": "email", "sqs": "sqs", "sts": "sts"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date that a zip can hold
_KEPT_PACKAGES = 3


class PackagingFailed(RuntimeError):
    """pip could not install what ships."""


def build(project_dir: str, python_version: str, platforms: tuple[str, ...], say: Callable[[str], object]) -> Path:
    """Return the zip of the project, built only if its input changed.

    ``platforms`` are those whose wheels may be in it: those of LAMBDA_PLATFORMS or, where functions
    run on this machine, none in particular.

    Raises PackagingFailed.
    """
    project = Path(project_dir)
    out = project / ".chalice" / "deployments"
    out.mkdir(parents=True, exist_ok=True)
    requirements = project / "requirements.txt"
    name = _digest([requirements, Path(__file__)], python_version, *platforms)
    sources = dict(_sources(project))
    package = out / f"{_digest([*sources.values()], name)}.zip"
    if not package.exists():
        dependencies = out / f"dependencies-{name}"
        if not dependencies.exists():
            where = "Lambda" if platforms else "this machine"
            say(f"Installing what ships, for {where} (once for each requirements.txt) ...\n")
            _install(requirements, dependencies, platforms, python_version)
        _zip(package, dependencies, sources)
        _forget_old(out)
        say(f"Package: {_megabytes(package.stat().st_size)} MB, {_megabytes(_unpacked(package))} MB unpacked\n")
    return package


def _install(requirements: Path, target: Path, platforms: tuple[str, ...], python_version: str) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        site = Path(temporary) / "site"
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
        command += ["--require-hashes", "--only-binary=:all:"]
        command += ["--no-deps", "--no-compile", "--target", str(site), "-r", str(requirements)]
        if platforms:
            command += [f"--platform={platform}" for platform in platforms]
            command += ["--implementation", "cp"]
            command += ["--python-version", python_version.removeprefix("python")]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise PackagingFailed(f"pip could not install {requirements}:\n{finished.stderr}")
        for unneeded in [*site.rglob("__pycache__"), *site.rglob("tests"), site / "bin"]:
            shutil.rmtree(unneeded, ignore_errors=True)
        _trim_botocore(site)
        _compile(site)
        site.rename(target)


def _trim_botocore(site: Path) -> None:
    """Keep the descriptions of the services in use, without their documentation: the rest is most of the package.

    Each process reads the endpoints of all services before it creates a client: 1.2 MB of JSON, 12 ms. Of the
    description of DynamoDB, 420 of 530 kB are documentation, which takes half of the time.
    """
    data = site / "botocore" / "data"
    for service in data.iterdir():
        if service.is_dir() and service.name not in AWS_SERVICES:
            shutil.rmtree(service)
    for description in data.rglob("service-2.json.gz"):
        with gzip.open(description) as file:
            content = json.load(file, object_pairs_hook=_without_documentation)
        description.with_suffix("").write_text(json.dumps(content), encoding="utf-8")  # the zip compresses it
        description.unlink()
    endpoints = json.loads((data / "endpoints.json").read_text(encoding="utf-8"))
    used = set(AWS_SERVICES.values())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: service for name, service in partition["services"].items() if name in used}
    (data / "endpoints.json").write_text(json.dumps(endpoints), encoding="utf-8")


def _without_documentation(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON without its documentation. A member of that name that is an object is kept."""
    return {name: value for name, value in members if name != "documentation" or not isinstance(value, str)}


def _compile(folder: Path) -> None:
    # By hash and unchecked: zips have no times that Python could compare with.
    compileall.compile_dir(
        folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, stripdir=str(folder)
    )


def _sources(project: Path) -> Iterator[tuple[str, Path]]:
    """The app's files and Chalice's runtime, by their names in the package."""
    runtime = Path(chalice.app.__file__).parent
    yield "chalice/app.py", runtime / "app.py"
    yield "chalice/__init__.py", runtime / "__init__.py"
    yield "app.py", project / "app.py"
    for path in sorted((project / "chalicelib").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(project)), path


def _zip(package: Path, dependencies: Path, sources: dict[str, Path]) -> None:
    with tempfile.TemporaryDirectory(dir=package.parent) as temporary:
        app = Path(temporary) / "app"
        for name, source in sources.items():
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, app / name)
        _compile(app)
        unfinished = Path(temporary) / "package.zip"
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for folder in (dependencies, app):
                for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                    info = zipfile.ZipInfo(str(path.relative_to(folder)), _EPOCH)
                    info.compress_type = zipfile.ZIP_DEFLATED
                    info.external_attr = 0o644 << 16
                    archive.writestr(info, path.read_bytes())
        unfinished.rename(package)


def _unpacked(package: Path) -> int:
    with zipfile.ZipFile(package) as archive:
        return sum(info.file_size for info in archive.infolist())


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f}"


def _forget_old(out: Path) -> None:
    newest_first = sorted(out.glob("*.zip"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in newest_first[_KEPT_PACKAGES:]:
        old.unlink()


def _digest(files: list[Path], *words: str) -> str:
    digest = hashlib.sha256("\0".join((chalice.__version__, *words)).encode())
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]
