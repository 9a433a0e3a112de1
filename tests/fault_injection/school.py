"""A deployed stage whose functions call AWS through a proxy that injects faults, and data to fill it with."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from infra.functions import FUNCTIONS
from infra.local_stage import aws_environment
from tests.fault_injection.clock import Clock
from tests.fault_injection.lagging_indexes import LaggingIndexes
from tests.fault_injection.proxy import FaultyAws
from tests.fault_injection.rules import healthy
from tests.stack import RunningStack

FRONT = ("api_handler", "authorizer")
"""The functions that answer requests. They call AWS without faults, unless a run lets them."""
WORKER_SECONDS = 45
"""The timeout of the email worker, shorter than on a stage, so that the runs take less time."""
EMAILS, DELETIONS, WAITLIST = "emails", "deletions", "waitlist"
_THREADS = 12


class School:
    """The stage ``local`` of a running stack, with proxies for this process and for its functions."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.clock = Clock(stack.folder / "clock")
        """The clock of this process and of the functions."""
        self._indexes = LaggingIndexes(stack.aws("dynamodb"))
        self.aws = FaultyAws(stack.aws_url, self._indexes)
        """The proxy between the functions and AWS."""
        self.front = FaultyAws(stack.aws_url, self._indexes)
        """The proxy between this process, which acts as the API, and AWS."""
        os.environ.update(aws_environment(self.front.url), STAGE="local", MAIL_FROM="eduflow@example.org")
        for function in FUNCTIONS:
            self.route_through_proxy(function.name, self.front if function.name in FRONT else self.aws)

    def close(self) -> None:
        self.aws.close()
        self.front.close()

    def end_faults(self) -> None:
        """End all faults."""
        self.aws.rule = self.front.rule = healthy
        self.aws.met, self.front.met = [], []
        self._indexes.end()

    def route_through_proxy(
        self, function: str, proxy: FaultyAws | None = None, settings: dict[str, str] | None = None
    ) -> None:
        """Let a function call AWS through a proxy, `aws` by default, with these settings."""
        client, name = self.stack.aws("lambda"), "eduflow-local" + ("" if function == "api_handler" else f"-{function}")
        variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        variables |= {"AWS_ENDPOINT_URL": (proxy or self.aws).url} | self.clock.settings | (settings or {})
        timeout = {"Timeout": WORKER_SECONDS} if function == "emails" else {}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables}, **timeout)

    def lag(self, hours: float) -> None:
        """Let the global secondary indexes lag behind the tables, where a rule has `Fault.STALE`."""
        self._indexes.begin(3600 * hours)

    def invoke(self, worker: str) -> dict[str, Any]:
        """Run a scheduled function and wait for its end."""
        event = dict.fromkeys(("version", "account", "region", "detail-type", "source", "time", "id"), "")
        response = self.stack.aws("lambda").invoke(
            FunctionName=f"eduflow-local-{worker}", Payload=json.dumps(event | {"detail": {}, "resources": []})
        )
        found: dict[str, Any] = json.loads(response["Payload"].read() or "null") or {}
        return found

    def clean_up_an_hour_later(self) -> dict[str, Any]:
        """Run the cleanup of the next hour, and return its numbers of messages; none if it failed."""
        self.clock.advance(hours=1)
        numbers = self.invoke("cleanup")
        return numbers if "errorType" not in numbers else {}

    def set_visibility_timeout(self, queue: str, seconds: int, delay: int = 0) -> None:
        """Set the visibility timeout, so that failed messages return sooner than in six minutes, and the delay."""
        attributes = {"VisibilityTimeout": str(seconds), "DelaySeconds": str(delay)}
        sqs = self.stack.aws("sqs")
        sqs.set_queue_attributes(QueueUrl=self.url(queue), Attributes=attributes)

    def url(self, queue: str) -> str:
        """Return the URL of a queue."""
        return str(self.stack.aws("sqs").get_queue_url(QueueName=f"eduflow-{queue}-local")["QueueUrl"])

    def set_event_source_enabled(self, worker: str, is_enabled: bool) -> None:
        """Enable or disable the event source of a queue."""
        client = self.stack.aws("lambda")
        [source] = client.list_event_source_mappings(FunctionName=f"eduflow-local-{worker}")["EventSourceMappings"]
        client.update_event_source_mapping(UUID=source["UUID"], Enabled=is_enabled)

    def count_messages(self, queue: str) -> int:
        """Return the number of messages in a queue, in all states."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        names.append("ApproximateNumberOfMessagesDelayed")
        sqs = self.stack.aws("sqs")
        found = sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=names)["Attributes"]
        return sum(map(int, found.values()))

    def wait_until_empty(self, queue: str, seconds: float) -> None:
        """Wait until a queue is empty."""
        end = time.monotonic() + seconds
        while self.count_messages(queue):
            if time.monotonic() > end:
                raise TimeoutError(f"{queue} holds {self.count_messages(queue)} messages after {seconds} s")
            time.sleep(0.3)

    def emails(self) -> Counter[str]:
        """Return the number of emails by address."""
        response = requests.get(f"{self.stack.aws_url}/_ministack/ses/messages", timeout=60).json()
        return Counter(mail["To"][0] for account in response["messages"].values() for mail in account)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table, without passing the proxy."""
        client = self.stack.aws("dynamodb")
        pages = client.get_paginator("scan").paginate(TableName=f"eduflow-{table}-local", ConsistentRead=True)
        return [row for page in pages for row in page["Items"]]


def in_parallel(work: Callable[[Any], Any], items: Any) -> list[Any]:
    """Return the results of calling a function for all items, in threads."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return [*pool.map(work, items)]


def create_students(number: int) -> list[Any]:
    """Create students as rows, because registering them would mostly hash passwords."""
    from chalicelib.core import clock, ids
    from chalicelib.core.caller import Caller
    from chalicelib.core.roles import Role
    from chalicelib.models.users import User

    joined_at, callers = clock.format_timestamp(clock.now()), []
    with User.batch_write() as batch:
        for _ in range(number):
            user_id = ids.new_id()
            name = f"s{user_id}"
            user = User(user_id, username=name, email=f"{name}@example.org", role=Role.STUDENT.value)
            user.date_joined, user.sort_key = joined_at, f"{joined_at}#{user_id}"
            batch.save(user)
            callers.append(Caller(user_id, name, Role.STUDENT, session_id=""))
    return callers


def create_teacher() -> Any:
    """Create an instructor."""
    from chalicelib.core.caller import Caller
    from chalicelib.core.roles import Role
    from chalicelib.models.users import User

    [one] = create_students(1)
    User(one.id).update([User.role.set(Role.INSTRUCTOR.value)])
    return Caller(one.id, one.username, Role.INSTRUCTOR, session_id="")
