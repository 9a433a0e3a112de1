"""API Gateway's access log, which ministack configures, but does not write.

It renders the variables of ``infra.chalice.stage_settings.ACCESS_LOG`` that ministack knows, and "-" for the others, as
API Gateway does
(https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html).
"""

import re
import time
from contextvars import ContextVar
from typing import Any

from ministack.services import apigateway_v1 as gateway
from ministack.services import cloudwatch_logs, lambda_svc

_STREAM = "access"
_VARIABLE = re.compile(r"\$context\.([\w.]+)")

# The variables of the current request; while its authorizer runs, also where to put that one's request ID.
_variables: ContextVar[dict[str, Any]] = ContextVar("variables")
_is_in_authorizer: ContextVar[bool] = ContextVar("is_in_authorizer", default=False)


def patch_ministack() -> None:
    """Patch ministack in this process."""
    _collect_variables()
    handle = gateway._handle_execute_in_scope

    async def handle_and_log(
        api_id: str, stage_name: str, method: str, path: str, headers: Any, *arguments: Any
    ) -> tuple[int, dict[str, Any], bytes]:
        started = time.time()
        variables = {
            "requestTimeEpoch": int(started * 1000),
            "httpMethod": method,
            "path": path,
            "identity.sourceIp": headers.get("x-forwarded-for", ""),
            "identity.userAgent": headers.get("user-agent", ""),
        }
        _variables.set(variables)
        status, answer_headers, body = await handle(api_id, stage_name, method, path, headers, *arguments)
        variables["status"] = status
        variables["responseLength"] = len(body)
        variables["responseLatency"] = int(1000 * (time.time() - started))
        settings = gateway._stages_v1.get(api_id, {}).get(stage_name, {}).get("accessLogSettings") or {}
        if "requestId" in variables and settings.get("destinationArn"):
            _write(settings["destinationArn"].split(":log-group:")[1], _render(settings["format"], variables))
        return status, answer_headers, body

    gateway._handle_execute_in_scope = handle_and_log


def _collect_variables() -> None:
    build_event, error_response, invoke_authorizer, emit = (
        gateway._build_lambda_event_v1,
        gateway._gateway_error_response,
        gateway._invoke_authorizer_lambda,
        lambda_svc._emit_lambda_logs,
    )

    def build_event_and_note(*arguments: Any, **named: Any) -> Any:
        event = build_event(*arguments, **named)
        context = event["requestContext"]
        _note("requestId", context["requestId"])
        _note("authorizer.principalId", (context.get("authorizer") or {}).get("principalId"))
        return event

    def error_response_and_note(error: Any, request: Any) -> Any:
        _note("requestId", request["request_id"])
        _note("error.responseType", error.response_type)
        return error_response(error, request)

    async def invoke_authorizer_and_note(*arguments: Any) -> Any:
        token = _is_in_authorizer.set(True)
        try:
            return await invoke_authorizer(*arguments)
        finally:
            _is_in_authorizer.reset(token)

    def emit_and_note(func: Any, request_id: str, *arguments: Any, **named: Any) -> None:
        if _is_in_authorizer.get():
            _note("authorizer.requestId", request_id)
        emit(func, request_id, *arguments, **named)

    gateway._build_lambda_event_v1 = build_event_and_note
    gateway._gateway_error_response = error_response_and_note
    gateway._invoke_authorizer_lambda = invoke_authorizer_and_note
    lambda_svc._emit_lambda_logs = emit_and_note


def _note(variable: str, value: Any) -> None:
    """Keep a variable of the current request; API Gateway rejects some requests before they reach an API."""
    _variables.get({})[variable] = value


def _render(template: str, variables: dict[str, Any]) -> str:
    return _VARIABLE.sub(lambda found: str(variables.get(found[1]) or "-"), template)


def _write(group: str, message: str) -> None:
    """Write a line, unless the group was deleted meanwhile."""
    if group in cloudwatch_logs._log_groups:
        if _STREAM not in cloudwatch_logs._log_groups[group]["streams"]:
            cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": _STREAM})
        events = [{"timestamp": int(time.time() * 1000), "message": message}]
        cloudwatch_logs._put_log_events({"logGroupName": group, "logStreamName": _STREAM, "logEvents": events})
