"""LocalStack's own code without Docker. Runs in LocalStack's environment (Python 3.13), not in the project's.

Exactly three parts of LocalStack's image are replaced: the Docker executor of Lambda functions by processes (through
its plug-in point LAMBDA_RUNTIME_EXECUTOR), DynamoDBLocal.jar by ministack's DynamoDB, and the bind address, which
LocalStack 4.14 ignores. The environment: FUNCTION_PYTHON and DYNAMODB_PYTHON are interpreters; HOST_ALIASES maps what
only a container network resolves, as JSON. It ends with its parent, whose end it sees as the end of standard input.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ["LAMBDA_RUNTIME_EXECUTOR"] = "process"

from localstack import config
from localstack.services.dynamodb.server import DynamodbServer
from localstack.services.lambda_.invocation import runtime_executor
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.utils.common import TMP_THREADS
from localstack.utils.run import ShellCommandThread
from twisted.internet import endpoints

HOST = "127.0.0.1"
WORKER = Path(__file__).with_name("function_worker.py")
_EXITED = {"error": {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited during its start"}}
_log = logging.getLogger(__name__)


class ProcessRuntimeExecutor(runtime_executor.RuntimeExecutor):  # type: ignore[misc]
    """One execution environment: a process that imported the function's module and serves one event at a time."""

    def __init__(self, executor_id: str, function_version: Any) -> None:
        super().__init__(executor_id, function_version)
        self._process: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}
        self._logs = ""
        self._lock = threading.Lock()

    def start(self, env_vars: dict[str, Any]) -> None:
        """Start the process; raises StatusErrorException when the handler cannot be imported."""
        code = str(self.function_version.config.code.get_unzipped_code_location())
        variables = {name: str(value) for name, value in env_vars.items()} | {"LAMBDA_TASK_ROOT": code}
        for alias, address in json.loads(os.environ.get("HOST_ALIASES", "{}")).items():
            variables = {name: value.replace(alias, address) for name, value in variables.items()}
        temporary = os.environ["TMPDIR"]
        self._environment = {"PATH": os.environ["PATH"], "HOME": temporary, "TMPDIR": temporary} | variables
        self._spawn()

    def invoke(self, payload: dict[str, Any]) -> Any:
        """Serve one event; a process that died is started again first."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._spawn()
            started = time.monotonic()
            response = self._exchange(payload)
            return self._result(payload["invoke-id"], response, time.monotonic() - started)

    def _spawn(self) -> None:
        self._process = subprocess.Popen(
            [os.environ["FUNCTION_PYTHON"], str(WORKER)],
            cwd=self._environment["LAMBDA_TASK_ROOT"],
            env=self._environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        response = json.loads(line) if line else _EXITED
        if "error" in response:
            raise StatusErrorException("Environment startup failed", payload=json.dumps(response["error"]).encode())

    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        timeout, request_id, started = self.function_version.config.timeout, payload["invoke-id"], time.monotonic()
        killer = threading.Timer(timeout, self._process.kill)
        killer.start()
        try:
            self._process.stdin.write(json.dumps(payload | {"timeout": timeout}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        killer.cancel()
        if line:
            response: dict[str, Any] = json.loads(line)
            return response
        if time.monotonic() - started >= timeout:
            now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
            return _failure(f"{now} {request_id} Task timed out after {timeout:.2f} seconds", "Sandbox.Timedout")
        return _failure(f"RequestId: {request_id} Error: Runtime exited", "Runtime.ExitError")

    def _result(self, request_id: str, response: dict[str, Any], seconds: float) -> Any:
        print(response["logs"], end="", flush=True)
        memory, ms = self.function_version.config.memory_size, 1000 * seconds
        logs = (
            f"START RequestId: {request_id} Version: {self.function_version.id.qualifier}\n"
            f"{response['logs']}END RequestId: {request_id}\n"
            f"REPORT RequestId: {request_id}\tDuration: {ms:.2f} ms\tBilled Duration: {int(ms) + 1} ms\t"
            f"Memory Size: {memory} MB\tMax Memory Used: {memory} MB\t\n"
        )
        self._logs += logs
        payload = json.dumps(response["result"]).encode()
        return InvocationResult(request_id, payload, is_error=response["is_error"], logs=logs)

    def stop(self) -> None:
        """End the process."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def get_address(self) -> str:
        """Return the address of the environment."""
        return HOST

    def get_endpoint_from_executor(self) -> str:
        """Return the address at which the environment reaches LocalStack."""
        return HOST

    def get_runtime_endpoint(self) -> str:
        """Return the URL of the runtime API, which this executor does not use."""
        return f"http://{HOST}:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    def get_logs(self) -> str:
        """Return all log lines."""
        return self._logs

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        """Unpack the function's code."""
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """Keep the unpacked code: LocalStack's folder is deleted as a whole."""


class ProcessExecutorPlugin:
    """What an entry point in the group localstack.lambda.runtime_executor would load."""

    def load(self) -> type[ProcessRuntimeExecutor]:
        """Return the executor."""
        return ProcessRuntimeExecutor


def patch_localstack() -> None:
    """Replace the three parts in this process."""
    listen = endpoints.TCP4ServerEndpoint

    def listen_on_loopback(reactor: Any, port: int, backlog: int = 50, interface: str = HOST) -> Any:
        return listen(reactor, port, backlog, interface)

    endpoints.TCP4ServerEndpoint = listen_on_loopback
    runtime_executor.EXECUTOR_PLUGIN_MANAGER.exists = lambda name: True
    runtime_executor.EXECUTOR_PLUGIN_MANAGER.load = lambda name: ProcessExecutorPlugin()
    DynamodbServer.do_start_thread = _start_dynamodb


def _start_dynamodb(server: Any) -> Any:
    """Start ministack in the place of DynamoDBLocal.jar."""
    settings = {"GATEWAY_PORT": str(server.port), "BIND_HOST": HOST, "SERVICES": "dynamodb", "LOG_LEVEL": "WARNING"}
    settings |= {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "PERSIST_STATE": "0"}
    thread = ShellCommandThread(
        [os.environ["DYNAMODB_PYTHON"], "-m", "ministack"],
        env_vars=settings,
        name="dynamodb",
        quiet=False,
        log_listener=lambda line, **_: _log.debug(line.rstrip()),
        auto_restart=True,
    )
    TMP_THREADS.append(thread)  # LocalStack stops these at its end
    thread.start()
    return thread


def _failure(message: str, error_type: str) -> dict[str, Any]:
    return {
        "result": {"errorMessage": message, "errorType": error_type},
        "is_error": True,
        "logs": message + "\n",
    }


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    from localstack.runtime.main import main

    patch_localstack()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()
