"""What the tests speak with: people who call the API, and a stack of their own to call."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import boto3
import requests

from devstack.stack import free_ports
from infra.config import Stage
from infra.local_stage import aws_environment

PROJECT = Path(__file__).parents[1]
TEST_STAGE = Stage("test", {"MAIL_FROM": "eduflow@example.org"}, cache=False, alarm_email="", monthly_budget=0)
PASSWORD = "sphinx of black quartz"
_START_SECONDS = 240


def unique(word: str) -> str:
    """A name that no other test has."""
    return f"{word}.{uuid.uuid4().hex[:10]}"


class Api:
    """The API at one address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        """One request; a path below /api/v1 unless it starts with /api or is a whole URL."""
        url = path if path.startswith("http") else self.url + (path if path.startswith("/api") else f"/api/v1{path}")
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        address = urlsplit(url)
        if address.hostname is not None and address.hostname.endswith(".localhost"):
            # Not every resolver knows the names below localhost.
            url = address._replace(netloc=f"127.0.0.1:{address.port}").geturl()
            headers = {"Host": address.netloc} | headers
        return requests.request(method, url, headers=headers, timeout=60, **options)


class Actor:
    """Somebody who calls the API: with an account and a session, or anonymous."""

    def __init__(self, api: Api, username: str = "", token: str | None = None) -> None:
        self.api = api
        self.username = username
        self.token = token

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.api.call("GET", path, self.token, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.api.call("POST", path, self.token, json=json, **options)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.api.call(method, path, self.token, **options)

    def makes_course(self, **fields: Any) -> dict[str, Any]:
        """A course of this actor, published unless the fields say otherwise."""
        answer = self.post("/courses/", {"title": unique("Course"), "is_published": True} | fields)
        assert answer.status_code == 201, answer.text
        course: dict[str, Any] = answer.json()
        return course

    def enrolls_in(self, course: dict[str, Any]) -> dict[str, Any]:
        """An enrollment of this actor."""
        answer = self.post("/enrollments/", {"course": course["id"]})
        assert answer.status_code == 201, answer.text
        enrollment: dict[str, Any] = answer.json()
        return enrollment


def registers(api: Api, role: str) -> Actor:
    """A new student or instructor, logged in."""
    username = unique(role)
    account = {"username": username, "email": f"{username}@example.org", "password": PASSWORD, "role": role}
    answer = api.call("POST", "/auth/register/", json=account)
    assert answer.status_code == 201, answer.text
    return logs_in(api, username)


def logs_in(api: Api, username: str, password: str = PASSWORD) -> Actor:
    """An actor with a new session."""
    answer = api.call("POST", "/auth/login/", json={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    return Actor(api, username, answer.json()["access"])


def at_once(call: Callable[[int], requests.Response], clients: int) -> list[requests.Response]:
    """What clients get that call at the same moment."""
    together = Barrier(clients)

    def one(number: int) -> requests.Response:
        together.wait()
        return call(number)

    with ThreadPoolExecutor(clients) as pool:
        return [*pool.map(one, range(clients))]


def eventually(found: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``found`` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"nothing within {seconds} s"
        time.sleep(0.1)
    return value


class RunningStack:
    """A ``make run`` of a copy of this project: own ports, own data."""

    stage = "local"
    module = "devstack"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.aws_port = free_ports(2)
        self.api = Api(f"http://127.0.0.1:{self.port}")
        self.aws_url = f"http://127.0.0.1:{self.aws_port}"
        self.log = folder / "run.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PORT": str(self.port), "AWS_PORT": str(self.aws_port)}

    def begin(self) -> None:
        """What `make run` runs."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def start(self) -> None:
        """Begin, and wait until it says that it is up."""
        self.begin()
        eventually(lambda: self.has_ended() or self.says("EduFlow is up"), _START_SECONDS)
        assert not self.has_ended(), self.output()

    def stop(self, number: int = signal.SIGINT) -> int:
        """As Ctrl-C does; the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, words: str) -> bool:
        return words in self.output()

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`python manage.py …` as a newcomer types it: it finds the stack that runs from this folder."""
        command = [sys.executable, "manage.py", *arguments]
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            command, cwd=self.folder, env=own | environment, capture_output=True, text=True, check=False
        )

    def aws(self, service: str) -> Any:
        """A client of the local AWS."""
        settings = aws_environment(self.aws_url)
        return boto3.client(
            service,
            endpoint_url=self.aws_url,
            region_name=settings["AWS_DEFAULT_REGION"],
            aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        )

    def forgets_failures(self) -> None:
        """As if 15 minutes had passed: no account and no address is throttled."""
        client = self.aws("dynamodb")
        for row in client.scan(TableName=f"eduflow-throttles-{self.stage}", ConsistentRead=True)["Items"]:
            client.delete_item(TableName=f"eduflow-throttles-{self.stage}", Key={"subject": row["subject"]})

    def signing_keys(self) -> dict[str, str]:
        """The keys that this stack signs with, by their ids."""
        secret = self.aws("secretsmanager").get_secret_value(SecretId=f"eduflow/{self.stage}/signing-keys")
        keys: dict[str, str] = json.loads(secret["SecretString"])
        return keys

    def reports_failed_messages(self) -> bool:
        """Whether Lambda heeds the emails' worker's list of what failed."""
        sources = self.aws("lambda").list_event_source_mappings()["EventSourceMappings"]
        [emails] = [source for source in sources if "enrollment-emails" in source["EventSourceArn"]]
        return bool(emails["FunctionResponseTypes"] == ["ReportBatchItemFailures"])

    def stage_host(self) -> str:
        """The host of the API Gateway stage URL, as a client without a custom domain uses it."""
        apis = self.aws("apigateway").get_rest_apis()["items"]
        [api_id] = [api["id"] for api in apis if api["name"] == "eduflow"]
        return f"{api_id}.execute-api.localhost:{self.aws_port}"

    def mails(self, words: str) -> list[dict[str, Any]]:
        """The mails in the local inbox whose address or subject has these words."""
        answer = requests.get(f"{self.aws_url}/_ministack/ses/messages", timeout=10).json()
        mails = [mail for account in answer["messages"].values() for mail in account]
        return [mail for mail in mails if words in mail["To"] or words in mail["Subject"]]


def copy_project(folder: Path) -> Path:
    """The project's files, as git knows them or would, in a folder of their own."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listing, cwd=PROJECT, text=True).splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    return folder


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that mention a folder."""
    listing = subprocess.check_output(["ps", "-eo", "pid=,args="], text=True).splitlines()
    return [line for line in listing if str(folder) in line and str(os.getpid()) not in line.split()[:1]]
