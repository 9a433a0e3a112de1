"""The parts of API Gateway that Chalice uses and ministack lacks, and the API at a stable address.

Import and overwrite of a REST API by its swagger document, with mock responses, methods for ANY,
binary types and gateway responses; and a front at the root of a port, as a custom domain is one.
"""

import json
from collections.abc import Callable
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import ministack.app
from ministack.services import apigateway_v1 as gateway

from devstack import stage_cache
from devstack.origin_guard import Asgi

Answer = tuple[int, dict[str, Any], bytes]

_ANY = "x-amazon-apigateway-any-method"
_METHODS = {_ANY: "ANY"}
_NOT_DEPLOYED = {
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "detail": "The API is not deployed yet.",
}
_THROTTLED = "Lambda throttles the function."
_IN_PATHS = "/%:@!$&'()*+,;=~"  # RFC 3986 §3.3, and encoded characters
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_RENAMED = {name.lower(): f"x-amzn-Remapped-{name}" for name in ("Date", "Server", "WWW-Authenticate")}
_at_root: ContextVar[bool] = ContextVar("at_root", default=False)


def patch_ministack() -> None:
    """Patch ministack in this process."""
    handle, build_event, error_response, invoke, interpret, authorize = (
        gateway.handle_request,
        gateway._build_lambda_event_v1,
        gateway._gateway_error_response,
        gateway._invoke_lambda_proxy_v1,
        gateway._lambda_proxy_response,
        gateway._invoke_authorizer_lambda,
    )

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query: Any) -> Answer:
        parts = path.strip("/").split("/")
        if method == "POST" and parts == ["restapis"] and "import" in query.get("mode", []):
            return _import(json.loads(body))
        if method == "PUT" and len(parts) == 2 and parts[0] == "restapis":
            return _overwrite(parts[1], json.loads(body))
        if method == "DELETE" and parts[4:] == ["cache", "data"]:
            return stage_cache.flush(parts[1], parts[3])
        if method == "PATCH" and len(parts) == 2 and parts[0] == "restapis":
            body = _with_numbers(body)
        answer: Answer = await handle(method, path, headers, body, query)
        return answer

    def build_lambda_event(*arguments: Any, **named: Any) -> Any:
        event = build_event(*arguments, **named)
        if _at_root.get():  # as behind a custom domain: the stage is not in the path
            event["requestContext"]["path"] = event["path"]
        return event

    def gateway_error_response(error: Any, request: Any) -> Answer:
        status, headers, body = error_response(error, request)
        return status, headers, body.replace(b"$context.path", _path.get().encode())

    async def invoke_and_rename(*arguments: Any, **named: Any) -> Any:
        answer = await invoke(*arguments, **named)
        if isinstance(answer, gateway._GatewayError):
            return answer
        status, headers, body = answer
        if status == HTTPStatus.BAD_GATEWAY:  # ministack's own response is no gateway response
            is_throttled = json.loads(body)["message"] == _THROTTLED
            return gateway._gw_error("INTEGRATION_FAILURE" if is_throttled else "DEFAULT_5XX", "Internal server error")
        return status, {_RENAMED.get(name.lower(), name): value for name, value in headers.items()}, body

    def proxy_response(result: dict[str, Any]) -> tuple[Any, str | None]:
        if result.get("throttle"):
            return None, _THROTTLED
        response: tuple[Any, str | None] = interpret(result)
        return response

    async def invoke_authorizer(*arguments: Any, **named: Any) -> Any:
        result = await authorize(*arguments, **named)
        return None if result and result.get("throttle") else result  # None: the gateway cannot reach the authorizer

    gateway._invoke_authorizer_lambda = invoke_authorizer
    gateway._lambda_proxy_response = proxy_response
    gateway._invoke_lambda_proxy_v1 = invoke_and_rename
    stage_cache.patch_ministack()
    gateway.handle_request = handle_request
    gateway._build_lambda_event_v1 = build_lambda_event
    gateway._gateway_error_response = gateway_error_response


_path: ContextVar[str] = ContextVar("path", default="")


def front(api_port: int, stage: str, is_deployed: Callable[[], bool]) -> Asgi:
    """Return an ASGI app: ministack, and at ``api_port`` the API of ``stage``, once it is deployed."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            _path.set(quote(scope["raw_path"].decode("latin-1").partition("?")[0], safe=_IN_PATHS))
            if scope["server"][1] == api_port:
                await _serve_api(scope, receive, send, _api_of(stage) if is_deployed() else None)
                return
        await ministack.app.app(scope, receive, send)

    return app


async def _serve_api(scope: dict[str, Any], receive: Any, send: Any, api: tuple[str, str] | None) -> None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/":  # what a person opens first; API Gateway has nothing there
        answer: Answer = 302, {"Location": "/api/docs/"}, b""
    elif api is None:
        content = json.dumps(_NOT_DEPLOYED).encode()
        answer = 503, {"Content-Type": "application/problem+json", "Retry-After": "5"}, content
    else:
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        headers["x-forwarded-for"] = scope["client"][0]  # the client's own header is not trusted
        headers["x-forwarded-proto"] = "http"
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        path = unquote(scope["raw_path"].decode("latin-1").partition("?")[0])
        _at_root.set(True)
        answer = await gateway.handle_execute(*api, scope["method"], path, headers, body, query)
    await _send(send, *answer)


async def _send(send: Any, status: int, headers: dict[str, Any], body: bytes) -> None:
    lines = []
    for name, value in headers.items():
        if name.lower() == "strict-transport-security":  # browsers ignore it without TLS, and it must not be sent
            continue
        for one in value if isinstance(value, list) else [value]:
            lines.append((name.encode("latin-1"), str(one).encode("latin-1", "replace")))
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def _api_of(stage: str) -> tuple[str, str] | None:
    """Return the ID of the API that has the stage, and the stage."""
    return next(
        ((api_id, stage) for (_, _, api_id), stages in gateway._stages_v1._data.items() if stage in stages), None
    )


def _import(swagger: dict[str, Any]) -> Answer:
    api_id = gateway._import_rest_api(swagger)
    _complete(api_id, swagger)
    return _view(api_id, 201)


def _overwrite(api_id: str, swagger: dict[str, Any]) -> Answer:
    """Replace the definition of an API in one step, and keep its ID."""
    if api_id not in gateway._rest_apis:
        return _view(api_id, 404)
    new = gateway._import_rest_api(swagger)
    _complete(new, swagger)
    for store in (gateway._authorizers_v1, gateway._gateway_responses, gateway._resources):
        store[api_id] = store[new]
    gateway._rest_apis[api_id]["binaryMediaTypes"] = gateway._rest_apis[new]["binaryMediaTypes"]
    gateway._delete_rest_api(new)
    return _view(api_id, 200)


def _view(api_id: str, status: int) -> Answer:
    found, headers, body = gateway._get_rest_api(api_id)
    return (status if found == 200 else found), headers, body


def _complete(api_id: str, swagger: dict[str, Any]) -> None:
    """Add the parts that ministack's import ignores."""
    gateway._rest_apis[api_id]["binaryMediaTypes"] = swagger.get("x-amazon-apigateway-binary-media-types", [])
    for name, response in swagger.get("x-amazon-apigateway-gateway-responses", {}).items():
        gateway._put_gateway_response(api_id, name, response)
    by_path = {resource["path"]: resource for resource in gateway._resources[api_id].values()}
    for path, methods in swagger["paths"].items():
        resource = by_path[path]
        if _ANY in methods:
            gateway._import_operation(api_id, resource["id"], "ANY", methods[_ANY])
        for name, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            stored = resource["resourceMethods"][_METHODS.get(name, name.upper())]["methodIntegration"]
            stored["cacheKeyParameters"] = integration.get("cacheKeyParameters", [])
            if integration["type"] == "mock":
                _complete_mock(stored, integration)


def _complete_mock(stored: dict[str, Any], integration: dict[str, Any]) -> None:
    stored["requestTemplates"] = integration.get("requestTemplates", {})
    stored["integrationResponses"] = {
        response["statusCode"]: response | {"selectionPattern": "" if pattern == "default" else pattern}
        for pattern, response in integration["responses"].items()
    }


def _with_numbers(body: bytes) -> bytes:
    """Return a patch with numbers instead of texts: botocore cannot parse the API otherwise."""
    patch = json.loads(body)
    for operation in patch.get("patchOperations", []):
        if operation["path"] == "/minimumCompressionSize":
            operation["value"] = int(operation["value"]) if operation["value"] else None
    return json.dumps(patch).encode()
