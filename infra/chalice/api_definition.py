"""The API Gateway definition (OpenAPI 2), beyond what Chalice generates.

Everything is in the definition itself: a setting that is applied after the deploy would be missing until then.
"""

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.web import problems
from chalicelib.web.responses import COMMON_HEADERS, HSTS, NO_STORE, SECURITY_HEADERS

# API Gateway has no response type for a function that Lambda throttles, because the account or the function is at its
# limit of concurrent executions. The types for a function that it cannot invoke cover it (docs/decisions.md).
_AT_LIMIT = "The service is at its limit. Retry later."

# The responses that API Gateway generates itself, by response type
# (https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html).
_RESPONSES = {
    "ACCESS_DENIED": (403, "Your role does not permit this operation."),
    "API_CONFIGURATION_ERROR": (500, "Internal server error."),
    "AUTHORIZER_CONFIGURATION_ERROR": (429, _AT_LIMIT),
    "AUTHORIZER_FAILURE": (500, "Internal server error."),
    "BAD_REQUEST_BODY": (400, "The body is invalid."),
    "BAD_REQUEST_PARAMETERS": (400, "The parameters are invalid."),
    "EXPIRED_TOKEN": (401, "The token has expired."),
    "INTEGRATION_FAILURE": (429, _AT_LIMIT),
    "INTEGRATION_TIMEOUT": (504, "The service did not respond in time."),
    "INVALID_API_KEY": (403, "The API key is invalid."),
    # A Bearer header on an unknown route is taken for a bad AWS signature.
    "INVALID_SIGNATURE": (404, "Path not found."),
    "MISSING_AUTHENTICATION_TOKEN": (404, "Path not found."),
    "QUOTA_EXCEEDED": (429, "Too many requests."),
    "REQUEST_TOO_LARGE": (413, "The body is too large."),
    "RESOURCE_NOT_FOUND": (404, "Path not found."),
    "THROTTLED": (429, "Too many requests."),
    "UNAUTHORIZED": (401, "Authentication required."),
    "UNSUPPORTED_MEDIA_TYPE": (415, "The body must be application/json."),
    "WAF_FILTERED": (403, "The request was rejected."),
}
_RETRY_SECONDS = "1"

# Garbage must not invoke the authorizer: an authorizer that answers 401 is not cached. The whole value has to match
# (https://docs.aws.amazon.com/apigateway/latest/developerguide/configure-api-gateway-lambda-authorization-with-console.html).
AUTHORIZATION_PATTERN = r"^[Bb][Ee][Aa][Rr][Ee][Rr] +[\w-]+\.[\w-]+\.[\w-]+ *$"

# The routes that the stage cache may keep, because they read no token, with the parameters that shape the response.
# API Gateway ignores parameters that are not declared as cache keys.
CACHED_ROUTES: dict[str, list[str]] = {
    "/api/v1/courses-public": [f"querystring.{name}" for name in ("limit", "cursor", "ordering", "search")],
    "/api/schema": [],
    "/api/docs": [],
    "/api/docs/{asset}": ["path.asset"],
}


def extend(swagger: dict[str, Any], integration_uri: Any) -> dict[str, Any]:
    """Add problem details for the gateway's own errors, cache keys, token validation, and the app's 405s."""
    for scheme in swagger.get("securityDefinitions", {}).values():
        if authorizer := scheme.get("x-amazon-apigateway-authorizer"):
            authorizer["identityValidationExpression"] = AUTHORIZATION_PATTERN
    swagger["x-amazon-apigateway-gateway-responses"] = _gateway_responses()
    for path, methods in swagger["paths"].items():
        _add_headers(methods["options"], SECURITY_HEADERS | HSTS)
        if path in CACHED_ROUTES:
            # Host and scheme are in links.
            _declare_cache_keys(methods["get"], ["header.Host", "header.X-Forwarded-Proto", *CACHED_ROUTES[path]])
        # A method that the path does not have is routed to the app, which knows what to allow.
        methods["x-amazon-apigateway-any-method"] = {
            "responses": {},
            "x-amazon-apigateway-integration": {
                "type": "aws_proxy",
                "httpMethod": "POST",
                "uri": integration_uri,
                "passthroughBehavior": "when_no_match",
            },
        }
    return swagger


def _add_headers(preflight: dict[str, Any], headers: Mapping[str, str]) -> None:
    """Add headers to the response of a CORS preflight request, which API Gateway generates itself."""
    response = preflight["x-amazon-apigateway-integration"]["responses"]["default"]
    for name, value in headers.items():
        preflight["responses"]["200"]["headers"][name] = {"type": "string"}
        response["responseParameters"][f"method.response.header.{name}"] = f"'{value}'"


def _declare_cache_keys(operation: dict[str, Any], keys: list[str]) -> None:
    """Declare parameters, and that they are cache keys.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration.html
    """
    places = {"querystring": "query", "header": "header", "path": "path"}
    declared = {parameter["name"] for parameter in operation.setdefault("parameters", [])}
    for key in keys:
        source, _, name = key.partition(".")
        if name not in declared:
            operation["parameters"].append(
                {"name": name, "in": places[source], "required": source == "path", "type": "string"}
            )
    operation["x-amazon-apigateway-integration"]["cacheKeyParameters"] = [f"method.request.{key}" for key in keys]


def _gateway_responses() -> dict[str, Any]:
    named = {name: _gateway_response(status, detail) for name, (status, detail) in _RESPONSES.items()}
    return named | {
        "DEFAULT_4XX": _gateway_response(400, "The request was rejected."),
        "DEFAULT_5XX": _gateway_response(500, "Internal server error."),
    }


def _gateway_response(status: int, detail: str) -> dict[str, Any]:
    template = {
        "type": "about:blank",
        "title": problems.title(status),
        "status": status,
        "detail": detail,
        "instance": "$context.path",
        "request_id": "$context.requestId",
    }
    headers = {"Content-Type": problems.CONTENT_TYPE} | COMMON_HEADERS | HSTS | NO_STORE
    if status == 401:
        headers |= problems.WWW_AUTHENTICATE
    if status == 429:
        headers["Retry-After"] = _RETRY_SECONDS
    parameters = {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()}
    parameters["gatewayresponse.header.X-Request-ID"] = "context.requestId"
    return {
        "statusCode": str(status),
        "responseParameters": parameters,
        "responseTemplates": {"application/json": json.dumps(template)},
    }
