"""A running `make run` of a copy of this project."""

import contextlib
import fcntl
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import requests

from devstack.stack import free_ports
from infra.chalice import packager
from infra.config import PROJECT, Stage
from infra.local_stage import aws_environment
from tests.clients import Api
from tests.waiting import eventually

TEST_STAGE = Stage("test", {"MAIL_FROM": "eduflow@example.org"})
_START_SECONDS = 240


class RunningStack:
    """A ``make run`` of a copy of this project, with its own ports and data."""

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

    def launch(self) -> None:
        """Start the process that `make run` starts."""
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
        """Start the process and wait until it serves the API."""
        self.launch()
        eventually(lambda: self.has_ended() or self.has_logged("EduFlow is up"), _START_SECONDS)
        assert not self.has_ended(), self.output()

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, SIGINT like Ctrl-C by default, and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def send_signal(self, words: str, number: int) -> int:
        """Send a signal to those processes of the stack whose command has these words; return how many there are."""
        listing = subprocess.check_output(["ps", "-wweo", "pid=,ppid=,args="], text=True).splitlines()
        rows = [(int(pid), int(parent), command) for pid, parent, command in (row.split(None, 2) for row in listing)]
        assert self.process is not None
        family = {self.process.pid}
        while more := {pid for pid, parent, _ in rows if parent in family} - family:
            family |= more
        found = [pid for pid, _, command in rows if pid in family and words in command]
        for pid in found:
            os.kill(pid, number)
        return len(found)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def has_logged(self, words: str) -> bool:
        return words in self.output()

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python manage.py …` in the stack's folder, without AWS settings in the environment."""
        command = [sys.executable, "manage.py", *arguments]
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            command, cwd=self.folder, env=own | environment, capture_output=True, text=True, check=False
        )

    def aws(self, service: str) -> Any:
        """Return a client of the local AWS."""
        settings = aws_environment(self.aws_url)
        return boto3.client(
            service,
            endpoint_url=self.aws_url,
            region_name=settings["AWS_DEFAULT_REGION"],
            aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        )

    def reset_throttling(self) -> None:
        """Delete all login throttles, as after 15 minutes."""
        client = self.aws("dynamodb")
        for row in client.scan(TableName=f"eduflow-throttles-{self.stage}", ConsistentRead=True)["Items"]:
            client.delete_item(TableName=f"eduflow-throttles-{self.stage}", Key={"subject": row["subject"]})

    def use_cache_again(self) -> None:
        """Let the functions use a cache that a write switched off, as after a minute."""
        client = self.aws("dynamodb")
        with contextlib.suppress(client.exceptions.ConditionalCheckFailedException):  # it was never switched off
            client.update_item(
                TableName=f"eduflow-cache-state-{self.stage}",
                Key={"id": {"S": "valkey"}},
                UpdateExpression="SET off_until = :now",
                ConditionExpression="attribute_exists(id)",
                ExpressionAttributeValues={":now": {"N": str(time.time())}},
            )
        time.sleep(1.5)  # until all processes have read it

    def signing_keys(self) -> dict[str, str]:
        """Return the signing keys by key ID."""
        secret = self.aws("secretsmanager").get_secret_value(SecretId=f"eduflow/{self.stage}/signing-keys")
        keys: dict[str, str] = json.loads(secret["SecretString"])
        return keys

    def has_batch_item_failures(self) -> bool:
        """Return whether the email worker's event source reports batch item failures."""
        sources = self.aws("lambda").list_event_source_mappings()["EventSourceMappings"]
        [emails] = [source for source in sources if "emails" in source["EventSourceArn"]]
        return bool(emails["FunctionResponseTypes"] == ["ReportBatchItemFailures"])

    def stage_host(self) -> str:
        """Return the host of the API Gateway stage URL."""
        apis = self.aws("apigateway").get_rest_apis()["items"]
        [api_id] = [api["id"] for api in apis if api["name"] == "eduflow"]
        return f"{api_id}.execute-api.localhost:{self.aws_port}"

    def emails(self, words: str, subject: str = "") -> list[dict[str, Any]]:
        """Return the sent emails with these words in their address or subject, and ``subject`` in the latter."""
        response = requests.get(f"{self.aws_url}/_ministack/ses/messages", timeout=10).json()
        emails = [email for account in response["messages"].values() for email in account]
        found = [email for email in emails if words in email["To"] or words in email["Subject"]]
        return [email for email in found if subject in email["Subject"]]

    def send_message(self, queue: str, message: Mapping[str, object]) -> None:
        """Send a message to a queue, such as ``emails`` or ``emails-dead``, without the delay of the queue."""
        sqs = self.aws("sqs")
        url = sqs.get_queue_url(QueueName=f"eduflow-{queue}-{self.stage}")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(message), DelaySeconds=0)

    def tokens(self, kind: str, address: str) -> list[str]:
        """Return the tokens of the links in the emails to an address, in their order."""
        texts = [email["BodyText"] for email in self.emails(address)]
        return [match[1] for text in texts if (match := re.search(rf"#{kind}=(\w+)", text))]


def copy_project(folder: Path, has_package: bool = True) -> Path:
    """Copy the files that git tracks or would add into a folder, and by default the deployment package of them."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listing, cwd=PROJECT, text=True).splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    if has_package:
        built = package()
        (folder / built.relative_to(PROJECT)).parent.mkdir()
        shutil.copy2(built, folder / built.relative_to(PROJECT))
    return folder


@functools.cache
def package() -> Path:
    """Build the package for this machine once for all stacks and workers, because it takes seconds."""
    lock = PROJECT / ".chalice" / "deployments" / "lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return packager.build(str(PROJECT), f"python3.{sys.version_info.minor}", (), say=str)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that contain the folder's path."""
    listing = subprocess.check_output(["ps", "-eo", "pid=,args="], text=True).splitlines()
    return [line for line in listing if str(folder) in line and str(os.getpid()) not in line.split()[:1]]
