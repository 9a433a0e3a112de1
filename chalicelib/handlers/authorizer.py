"""The JWT authorizer: a Lambda of its own that API Gateway asks before the API's.

Its policy is cached per token, for whatever route comes next: so it always describes the whole
API for the token's role.
"""

import uuid
from typing import Any

from chalice.app import AuthRequest, Blueprint

from chalicelib.core.roles import Role
from chalicelib.observability import logs, metrics
from chalicelib.security import access, tokens
from chalicelib.web import problems

CACHE_SECONDS = 300

logs.configure()
blueprint = Blueprint(__name__)


@blueprint.authorizer(ttl_seconds=CACHE_SECONDS, name="authorizer")
@logs.reporting_errors
def authorizer(request: AuthRequest) -> dict[str, Any]:
    """Return the policy of the token's role and the caller.

    Raises the exception that the gateway answers with 401 when the token is invalid.
    """
    try:
        claims = tokens.verify(tokens.of_header(request.token), tokens.ACCESS)
    except tokens.BadToken as error:
        logs.errors.info("Token refused: %s", error, extra={"extra": {"status": 401}})
        raise _unauthorized() from None
    except Exception:
        # Lambda's own metric counts the exception of a 401 as an error, too: alarms watch this one.
        metrics.count("AuthorizerErrors")
        metrics.flush()
        raise
    return {
        "principalId": claims.user_id,
        "policyDocument": _policy(claims.role, request.method_arn),
        "context": {
            "username": claims.username,
            "role": claims.role.value,
            "session_id": claims.session_id,
            "expires_at": str(claims.expires_at),
        },
    }


def _policy(role: Role, method_arn: str) -> dict[str, Any]:
    """All that the role may call, with and without the trailing slash.

    A method's ARN is ``…:<api>/<stage>/<method>/<path>``
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html).
    """
    api, stage = method_arn.split("/")[:2]
    allowed = []
    for method, path in access.routes_of(role):
        pattern = "/".join("*" if part.startswith("{") else part for part in path.split("/"))
        allowed += [f"{api}/{stage}/{method}{pattern}", f"{api}/{stage}/{method}{pattern}/"]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": allowed}],
    }


def _unauthorized() -> Exception:
    """What becomes a 401: on API Gateway by its words, in ``chalice local`` by its class."""
    try:
        from chalice.local import NotAuthorizedError
    except ImportError:  # not in the package that runs on Lambda
        return logs.Reported("Unauthorized")
    logs.request_id.set(str(uuid.uuid4()))
    headers = {"Content-Type": problems.CONTENT_TYPE, "X-Request-ID": logs.request_id.get()} | problems.AUTHENTICATE
    return NotAuthorizedError(headers, problems.of_status(401, "The token is not valid.", "").encode())
