"""A proxy for the local AWS that can reject, lose, delay, redirect or repeat calls, or kill their caller.

All faults of AWS are a `Fault`. Which calls have it is a rule: see ``rules``.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import urllib3

from tests.fault_injection.lagging_indexes import LaggingIndexes, touched_tables

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Call:
    """One call to AWS: its service (``dynamodb``, ``sqs``, ``ses``), operation and parameters."""

    service: str
    operation: str
    body: dict[str, Any]

    @property
    def table(self) -> str:
        """Return the table of a call to DynamoDB, without project and stage; none of a transaction or batch."""
        return _short_name(str(self.body.get("TableName", "")))

    @property
    def tables(self) -> set[str]:
        """Return all tables of a call to DynamoDB, without project and stage."""
        return {_short_name(name) for name in touched_tables(self.body)}

    @property
    def index(self) -> str:
        """Return the index of a query that is not consistent, such as each of a global secondary index."""
        return "" if self.body.get("ConsistentRead") else str(self.body.get("IndexName", ""))


class Fault(Enum):
    """What the proxy does with a call."""

    REFUSED = "refused with 503"
    THROTTLED = "refused with 429"
    REJECTED = "refused with 400"
    TABLE_THROTTLED = "refused because the table or index is throttled"
    PART_THROTTLED = "as before, but a transaction is cancelled, and a batch unprocessed, for one of its tables"
    CONFLICT = "refused because of a conflicting transaction"
    UNREACHABLE = "neither done nor answered"
    STALE = "answered by an index that lags"
    CUT = "accepted, but the message becomes a dead letter, as Lambda lets one of a recursive loop"
    LOST = "done, and its answer lost"
    TWICE = "done twice, and the second answer returned"
    THRICE = "done three times"
    KILLED_BEFORE = "its caller killed before it"
    KILLED_AFTER = "its caller killed after it"


Rule = Callable[[Call], Fault | None]

_ERRORS = {
    Fault.REFUSED: (503, "ServiceUnavailable"),
    Fault.THROTTLED: (429, "TooManyRequestsException"),
    Fault.REJECTED: (400, "MessageRejected"),
    Fault.TABLE_THROTTLED: (400, "ProvisionedThroughputExceededException"),
    Fault.PART_THROTTLED: (400, "ProvisionedThroughputExceededException"),
    Fault.CONFLICT: (400, "TransactionConflictException"),
}

_REASONS = {Fault.CONFLICT: "TransactionConflict", Fault.PART_THROTTLED: "ProvisionedThroughputExceeded"}
_UNPROCESSED = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}
_NOT_DONE = {Fault.KILLED_BEFORE, Fault.UNREACHABLE}
_KILLED = {Fault.KILLED_BEFORE, Fault.KILLED_AFTER}
_NOT_ANSWERED = _KILLED | {Fault.LOST, Fault.UNREACHABLE}
_SERVICES = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs"}
_TIMES: dict[Fault | None, int] = {Fault.TWICE: 2, Fault.THRICE: 3}
_SES_ERRORS = {Fault.THROTTLED: (400, "Throttling")}
_XML_ERROR = (
    '<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><Error><Type>Sender</Type>'
    "<Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)


class FaultyAws:
    """A proxy that applies its rule to each call; without a rule it forwards all calls.

    Proxies that share ``indexes`` see the same lag of an index behind the writes through any of them.
    """

    def __init__(self, aws_url: str, indexes: LaggingIndexes | None = None) -> None:
        self.rule: Rule = lambda call: None
        self.met: list[tuple[Call, Fault]] = []
        self._indexes = indexes
        self._aws = urllib3.PoolManager(maxsize=64, retries=False, timeout=60)
        self._aws_url = aws_url
        self._lock = threading.Lock()
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                faulty._serve(self)

            do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815  the names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass  # who was killed does not listen

        self._server = Server((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        call = _call(request, body)
        with self._lock:  # rules count
            fault = self.rule(call)
            if fault:
                self.met.append((call, fault))
        if fault in _ERRORS:
            _refuse(request, call, fault)
            return
        if fault not in _NOT_DONE:
            for _ in range(_TIMES.get(fault, 1)):
                response = self._forward(request, body, call, fault)
        if fault in _KILLED:
            _kill(request.client_address[1], self._server.server_port)
        if fault in _NOT_ANSWERED:
            request.close_connection = True
            request.connection.close()
            return
        request.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "content-encoding"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(response.data)))
        request.end_headers()
        request.wfile.write(response.data)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes, call: Call, fault: Fault | None) -> Any:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("connection", "content-length")}
        if fault is Fault.STALE and self._indexes:
            body = json.dumps(self._indexes.query(call.body)).encode()
        elif fault is Fault.CUT:
            body = json.dumps(call.body | {"QueueUrl": _dead_letters(call.body["QueueUrl"])}).encode()
        response = self._aws.request(
            request.command, self._aws_url + request.path, body=body, headers=headers, preload_content=True
        )
        if self._indexes:
            self._indexes.record(call.operation, call.body)
        return response


def _call(request: BaseHTTPRequestHandler, body: bytes) -> Call:
    target, _, operation = request.headers.get("X-Amz-Target", "").rpartition(".")
    if not operation:  # the query protocol
        form = dict(parse_qsl(body.decode("latin-1")))
        return Call("ses" if "Action" in form else "", form.get("Action", ""), form)
    parameters: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        parameters = json.loads(body)
    return Call(_SERVICES.get(target, target), operation, parameters)


def _short_name(table: str) -> str:
    return table.removeprefix("eduflow-").removesuffix("-local")


def _dead_letters(queue_url: str) -> str:
    return f"{queue_url.removesuffix('-local')}-dead-local"


def _refuse(request: BaseHTTPRequestHandler, call: Call, fault: Fault) -> None:
    """Respond with the error of a fault, in the form that the service gives it."""
    status, code = _ERRORS[fault]
    if call.service == "ses":
        status, code = _SES_ERRORS.get(fault, (status, code))
        _answer(request, status, _XML_ERROR.format(code=code, message=fault.value).encode(), code)
        return
    if fault is Fault.PART_THROTTLED and call.operation in _UNPROCESSED:
        batch = {"Responses": {}, _UNPROCESSED[call.operation]: call.body["RequestItems"]}
        _answer(request, 200, json.dumps(batch).encode())
        return
    details: dict[str, Any] = {}
    if call.operation == "TransactWriteItems" and fault in _REASONS:
        code = "TransactionCanceledException"
        others = [{"Code": "None"}] * (len(call.body["TransactItems"]) - 1)
        details["CancellationReasons"] = [{"Code": _REASONS[fault]}, *others]
    _answer(request, status, json.dumps({"__type": code, "message": fault.value} | details).encode(), code)


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes, code: str = "") -> None:
    request.send_response_only(status)
    request.send_header("Content-Type", "application/json")
    if code:
        request.send_header("X-Amzn-ErrorType", code)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _kill(port: int, to_port: int) -> None:
    """Kill the process that called from a port."""
    for process in _owners(port, to_port) - {os.getpid()}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _owners(port: int, to_port: int) -> set[int]:
    table = Path("/proc/net/tcp")
    if not table.exists():  # not Linux
        found = subprocess.run(["lsof", "-nP", "-t", f"-iTCP:{port}"], capture_output=True, text=True, check=False)
        return {int(process) for process in found.stdout.split()}
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    inodes = {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[2].endswith(f":{to_port:04X}")}
    expected = {f"socket:[{inode}]" for inode in inodes}
    owners = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()) in expected:
                owners.add(int(link.parts[2]))
    return owners
