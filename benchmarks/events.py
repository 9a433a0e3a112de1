"""Events as API Gateway sends them to the function."""

import json
import time
from typing import Any

from chalicelib.core.caller import Caller


def event(
    method: str,
    resource: str,
    *,
    token: str = "",
    caller: Caller | None = None,
    body: Any = None,
    query: dict[str, str] | None = None,
    **parameters: str,
) -> dict[str, Any]:
    """Return the event of a request, with a token, or with what the authorizer passes on of a caller."""
    path = resource.format(**parameters)
    headers = {"host": "api.example.org", "x-forwarded-proto": "https"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if body is not None:
        headers["content-type"] = "application/json"
    context: dict[str, Any] = {"resourcePath": resource, "path": f"/test{path}", "httpMethod": method, "stage": "test"}
    context |= {"requestId": "r", "identity": {"sourceIp": "192.0.2.1"}}
    if caller is not None:
        context["authorizer"] = {
            "principalId": caller.id,
            "username": caller.username,
            "role": caller.role.value,
            "session_id": caller.session_id,
            "expires_at": str(int(time.time()) + 3600),
        }
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": parameters,
        "stageVariables": None,
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": context,
    }
