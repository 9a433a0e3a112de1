"""The cold start of each Lambda function: the import of its module, and the first request.

    .venv/bin/python -m benchmarks.cold_start

Each number is the median of fresh processes, which import the built package with its bytecode and nothing else. They
are timed from inside, so that the start and the end of Python are not in the numbers. The floor is what any function
on Chalice and PynamoDB imports and creates. The first request reads a course from an AWS on this machine, over TLS.
Lambda adds the download of the package, the start of its runtime, and the network.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt

from benchmarks.events import event
from infra.chalice import packager
from infra.config import PROJECT
from tests.fault_injection.valkey import tls_for_this_machine

PROCESSES = 15
_KEY_ID, _KEY = "1970-01-01T00:00:00Z", "x" * 64
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "STAGE": "test",
    "MAIL_FROM": "eduflow@example.org",
}
_LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "eduflow-test"}
_FLOOR = """
import chalice.app, pynamodb.models, pynamodb.connection
pynamodb.connection.Connection().client
"""
_REQUEST = """
import json
from app import app as handle
event, context = json.loads(os.environ["EVENT"]), None
"""
_AUTHORIZATION = """
import json
from types import SimpleNamespace
from chalicelib.handlers.authorizer import authorizer as handle
event, context = json.loads(os.environ["EVENT"]), SimpleNamespace(aws_request_id="r")
"""


@dataclass(frozen=True)
class Case:
    """Code that is timed in a fresh process, after ``setup``."""

    code: str
    environment: dict[str, str] = field(default_factory=dict)
    setup: str = ""


class _Aws(BaseHTTPRequestHandler):
    """Secrets Manager with one secret, and a DynamoDB with no rows."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        is_secret = self.headers["X-Amz-Target"].startswith("secretsmanager")
        body = json.dumps({"SecretString": json.dumps({_KEY_ID: _KEY})} if is_secret else {}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)  # in one packet: two would wait for an acknowledgement

    def log_message(self, *arguments: Any) -> None:
        """Log nothing."""


def main() -> None:
    """Measure all cases in turn, and print their medians as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "package"
        runtime = f"python3.{sys.version_info.minor}"
        with zipfile.ZipFile(packager.build(str(PROJECT), runtime, (), say=lambda text: None)) as archive:
            archive.extractall(site)
        imports, requests = _imports(), _requests(_serve(Path(folder), site))
        measured: dict[str, list[float]] = {name: [] for name in (*imports, *requests)}
        for _ in range(PROCESSES):
            for name, case in (imports | requests).items():
                measured[name].append(_milliseconds(site, case))
        start = statistics.median(_start() for _ in range(PROCESSES))
    medians = {name: statistics.median(values) for name, values in measured.items()}
    print(f"Python {sys.version.split()[0]}, which itself starts in {start:.0f} ms.\n")
    print("| Import | ms | of the floor |\n|---|---:|---:|")
    for name in imports:
        print(f"| {name} | {medians[name]:.0f} | {medians[name] / medians['floor']:.2f} |")
    print("\n| First request, after the import | ms |\n|---|---:|")
    for name in requests:
        print(f"| {name} | {medians[name]:.0f} |")


def _imports() -> dict[str, Case]:
    modules = {
        "API": "app",
        "authorizer": "chalicelib.handlers.authorizer",
        **{
            name: f"chalicelib.handlers.workers.{module}"
            for name, module in (
                ("emails", "emails"),
                ("cascade_deletions", "deletions"),
                ("place_settlement", "place_settlement"),
                ("daily_report", "daily_report"),
                ("cleanup", "cleanup"),
            )
        },
    }
    return {"floor": Case(_FLOOR)} | {name: Case(f"import {module}", _LAMBDA) for name, module in modules.items()}


def _requests(aws: dict[str, str]) -> dict[str, Case]:
    token = _token()
    resource, course_id = "/api/v1/courses/{course_id}", "4wqf9t0bz3m7kx2e"
    anonymous = event("GET", resource, course_id=course_id)
    student = event("GET", resource, token=token, course_id=course_id)
    arn = "arn:aws:execute-api:us-east-1:123456789012:api/test/GET/api/v1/auth/me"
    authorization = {"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": arn}

    def case(event: dict[str, Any], setup: str = _REQUEST, environment: dict[str, str] = _LAMBDA) -> Case:
        code = (
            "response = handle(event, context); assert response.get('statusCode') == 404 or 'principalId' in response"
        )
        return Case(code, aws | environment | {"EVENT": json.dumps(event)}, setup)

    return {
        "API: a course": case(anonymous),
        "API: a course, without the init phase": case(anonymous, environment={}),
        "API: a course, with a token": case(student),
        "API: a course, the second request": case(anonymous, f"{_REQUEST}\nhandle(event, context)"),
        "authorizer: a token": case(authorization, _AUTHORIZATION),
    }


def _token() -> str:
    now = int(time.time())
    claims = {
        "iss": "eduflow",
        "aud": "eduflow-test",
        "sub": "u",
        "jti": "t",
        "iat": now,
        "exp": now + 1800,
        "typ": "access",
        "sid": "s",
        "role": "student",
        "username": "ada",
    }
    return jwt.encode(claims, _KEY, algorithm="HS256", headers={"kid": _KEY_ID})


def _serve(folder: Path, site: Path) -> dict[str, str]:
    """Serve an AWS in this process, and return the environment of its clients."""
    context, certificate = tls_for_this_machine(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Aws)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Among as many authorities as a client on Lambda reads.
    authorities = folder / "authorities.pem"
    authorities.write_bytes((site / "botocore" / "cacert.pem").read_bytes() + certificate.read_bytes())
    return {"AWS_ENDPOINT_URL": f"https://127.0.0.1:{server.server_port}", "AWS_CA_BUNDLE": str(authorities)}


def _milliseconds(site: Path, case: Case) -> float:
    script = f"""
import os, sys, time
sys.path.insert(0, {str(site)!r})
result, sys.stdout = sys.stdout, open(os.devnull, "w")  # without the log
{case.setup}
started = time.perf_counter()
{case.code}
seconds = time.perf_counter() - started
print(seconds, file=result, flush=True)
os._exit(0)
"""
    # -I -S: nothing but the package and the standard library can be imported.
    command = [sys.executable, "-I", "-S", "-c", script]
    environment = _ENVIRONMENT | case.environment
    return 1000 * float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def _start() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", "import os; os._exit(0)"], check=True)
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
