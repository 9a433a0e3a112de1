"""The CPU time of reads that the cache serves, from API Gateway's event to the response.

    .venv/bin/python -m benchmarks.cached_reads

It uses a real Valkey and an AWS in memory, which a hit calls once a second. The health check is the floor of the
framework, and one MGET that of the cache.
"""

import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws

from devstack.stack import cache_url, free_ports
from devstack.valkey import running_valkey
from infra import stacks
from tests.stack import TEST_STAGE

ROUNDS, REQUESTS = 15, 100
COURSES = 25
DESCRIPTION = "Words of a description. " * 20
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "STAGE": TEST_STAGE.name,
    "MAIL_FROM": TEST_STAGE.sender,
}


def main() -> None:
    """Print the median of each kind of request, as Markdown."""
    [port] = free_ports(1)
    os.environ.update(_ENVIRONMENT | {"CACHE_URL": cache_url(port)})
    with tempfile.TemporaryDirectory() as folder, running_valkey(port, Path(folder)), mock_aws():
        _create_stage()
        measured = {name: _milliseconds(call) for name, call in _calls().items()}
    print("| Read, cached | CPU ms |\n|---|---:|")
    for name, milliseconds in measured.items():
        print(f"| {name} | {milliseconds:.2f} |")


def _create_stage() -> None:
    from chalicelib.core.config import settings

    data, *_ = stacks.stage_stacks(TEST_STAGE)
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in data.parameters.items()]
    template = data.template.read_text(encoding="utf-8")
    boto3.client("cloudformation").create_stack(StackName=data.name, TemplateBody=template, Parameters=parameters)
    key = json.dumps({"1970-01-01T00:00:00Z": "x" * 64})
    boto3.client("secretsmanager").create_secret(Name=settings().signing_keys_secret, SecretString=key)


def _calls() -> dict[str, Callable[[], Any]]:
    from app import app
    from chalicelib.adapters.cache.client import client
    from chalicelib.core.roles import Role
    from chalicelib.observability import logs
    from tests.factories import create_course, create_token, create_user

    logs.configure(io.StringIO())
    teacher = create_user(Role.INSTRUCTOR)
    courses = [create_course(teacher, title=f"Course {n}", description=DESCRIPTION) for n in range(COURSES)]
    token = create_token(create_user(Role.STUDENT))
    events = {
        "health check": api_event("/api/health"),
        "course": api_event("/api/v1/courses/{course_id}", course_id=courses[0].id),
        "list of 20 courses": api_event("/api/v1/courses"),
        "list of 20 courses, with a token": api_event("/api/v1/courses", token),
    }

    def request(event: dict[str, Any]) -> Callable[[], Any]:
        return lambda: app(event, None)

    for event in events.values():
        assert app(event, None)["statusCode"] == 200
    return {name: request(event) for name, event in events.items()} | {"one MGET": lambda: client().mget("a", "b")}


def api_event(resource: str, token: str = "", **parameters: str) -> dict[str, Any]:
    """Return API Gateway's event of a GET request."""
    path = resource.format(**parameters)
    headers = {"host": "api.example.org", "x-forwarded-proto": "https"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    context = {"resourcePath": resource, "path": f"/test{path}", "httpMethod": "GET", "requestId": "r", "stage": "test"}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "multiValueQueryStringParameters": None,
        "pathParameters": parameters,
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
        "requestContext": context | {"identity": {"sourceIp": "192.0.2.1"}},
    }


def _milliseconds(call: Callable[[], Any]) -> float:
    """Return the median of the CPU time of a call in this process."""
    rounds = []
    for _ in range(2 * REQUESTS):
        call()
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(REQUESTS):
            call()
        rounds.append((time.process_time() - started) / REQUESTS)
    return 1000 * statistics.median(rounds)


if __name__ == "__main__":
    main()
