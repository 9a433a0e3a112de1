"""What each function imports and creates when it starts, in a fresh interpreter as on Lambda.

A new entry makes cold starts longer: `python -m benchmarks.cold_start` measures by how much.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache

import pytest

from infra.config import PROJECT

# Modules of the standard library that take a millisecond or more, and that no function needs from the start.
COSTLY = (
    "asyncio", "concurrent.futures.thread", "ctypes", "difflib", "doctest", "http.server", "multiprocessing", "pydoc",
    "sqlite3", "tarfile", "unittest", "xmlrpc",
)  # fmt: skip

# Chalice, PynamoDB and botocore, with what they import.
FRAMEWORK = {"chalice", "botocore", "dateutil", "jmespath", "six", "urllib3"}
DATABASE = FRAMEWORK | {"pynamodb"}
PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
POWERTOOLS = {"aws_lambda_powertools", "boto3", "s3transfer", "typing_extensions"}  # with boto3, for idempotency
PACKAGES = {"adapters", "core", "handlers", "observability"}


@dataclass(frozen=True)
class Start:
    """What a process has imported and created once it has imported a function's module."""

    third_party: set[str]
    own: set[str]
    handlers: set[str]
    costly: set[str] = field(default_factory=set)
    clients: list[str] = field(default_factory=lambda: ["dynamodb"])


API_NAMES = (
    "account_page account_recovery audit auth courses docs enrollments lessons notifications reports system users "
    "waitlist"
)
API_MODULES = {f"api.{name}" for name in API_NAMES.split()}
STARTS = {
    "app": Start(
        DATABASE | PYDANTIC | {"jwt"},
        PACKAGES | {"models", "schemas", "security", "services", "web"},
        API_MODULES | {"api", "authorizer"},
        clients=["dynamodb", "secretsmanager"],
    ),
    "chalicelib.handlers.authorizer": Start(
        FRAMEWORK | {"jwt"},
        PACKAGES | {"security", "web"},
        {"authorizer"},
        clients=["secretsmanager"],
    ),
    "chalicelib.handlers.workers.emails": Start(
        DATABASE | POWERTOOLS,
        PACKAGES | {"models", "services"},
        {"workers", "workers.emails"},
        costly={"asyncio", "concurrent.futures.thread", "multiprocessing"},
    ),
    "chalicelib.handlers.workers.deletions": Start(
        DATABASE,
        PACKAGES | {"models", "services"},
        {"workers", "workers.deletions", "workers.requeueing"},
    ),
    "chalicelib.handlers.workers.place_settlement": Start(
        DATABASE,
        PACKAGES | {"models", "services"},
        {"workers", "workers.place_settlement", "workers.requeueing"},
    ),
    "chalicelib.handlers.workers.daily_report": Start(
        DATABASE,
        PACKAGES | {"models", "security", "services"},
        {"workers", "workers.daily_report"},
    ),
    "chalicelib.handlers.workers.cleanup": Start(
        DATABASE,
        PACKAGES | {"models", "services"},
        {"workers", "workers.cleanup"},
    ),
}

SCRIPT = """
import importlib, json, socket, sys
sys.modules["certifi"] = sys.modules["cryptography"] = None  # of the tests: they are not shipped
before = set(sys.modules)

def refuse(*arguments):
    raise AssertionError("a connection in the init phase")

socket.socket.connect = refuse
import botocore.session
create, clients = botocore.session.Session.create_client, []

def note(self, service, *arguments, **named):
    clients.append(service)
    return create(self, service, *arguments, **named)

botocore.session.Session.create_client = note
importlib.import_module(sys.argv[1])
import gc
print(json.dumps({"modules": [*set(sys.modules) - before], "clients": clients, "collects": gc.isenabled()}))
"""


@cache
def started(module: str, *, in_lambda: bool = True, cache_url: str = "") -> dict[str, list[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COV_"))}
    environment["CACHE_URL"] = cache_url
    if in_lambda:
        environment |= {
            "AWS_LAMBDA_FUNCTION_NAME": "eduflow-test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
    command = [sys.executable, "-c", SCRIPT, module]
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    result: dict[str, list[str]] = json.loads(run.stdout)
    return result


@pytest.mark.parametrize("module", STARTS)
def test_start_imports_only_the_listed_packages(module: str) -> None:
    modules = started(module)["modules"]
    top_level = {name.partition(".")[0] for name in modules}
    third_party = {name for name in top_level - sys.stdlib_module_names if not name.startswith("_")}

    assert third_party - {"app", "chalicelib"} == STARTS[module].third_party
    assert {name for name in COSTLY if name in modules} == STARTS[module].costly


@pytest.mark.parametrize("module", STARTS)
def test_start_imports_only_its_own_handlers_and_layers(module: str) -> None:
    own = {name.partition(".")[2] for name in started(module)["modules"] if name.startswith("chalicelib.")}
    handlers = {name.partition(".")[2] for name in own if name.startswith("handlers.")}

    assert {name for name in own if "." not in name} == STARTS[module].own
    assert handlers == STARTS[module].handlers


@pytest.mark.parametrize("module", STARTS)
def test_init_phase_creates_the_clients_and_no_connection(module: str) -> None:
    start = started(module)

    assert sorted(start["clients"]) == STARTS[module].clients
    assert start["collects"]


def test_init_phase_of_a_stage_with_a_cache_loads_its_client() -> None:
    modules = started("app", cache_url="valkey://127.0.0.1:1")["modules"]

    assert "valkey" in modules and "valkey" not in started("app")["modules"]


def test_import_without_aws_settings_creates_no_client() -> None:
    assert started("app", in_lambda=False)["clients"] == []
