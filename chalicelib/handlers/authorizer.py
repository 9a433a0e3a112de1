"""The JWT authorizer: the Lambda function that API Gateway calls before the API's.

API Gateway caches its policy per token for all routes, so the policy always covers the whole API.
"""

import sys
import uuid
from typing import Any

from chalice.app import AuthRequest, Blueprint, ChaliceAuthorizer

from chalicelib.core.init_phase import run_in_init_phase
from chalicelib.core.roles import Role
from chalicelib.observability import logs, metrics
from chalicelib.observability.logs import HandledError, audit_log, error_log, log_unhandled_errors
from chalicelib.security import access, signing_keys, tokens
from chalicelib.security.tokens import TokenType
from chalicelib.web import problems

CACHE_SECONDS = 300
_TRACEBACK_LIMIT = 1000  # the default (https://docs.python.org/3/library/sys.html#sys.tracebacklimit)

logs.configure()
run_in_init_phase(signing_keys.prepare, tokens.prepare)
blueprint = Blueprint(__name__)


class _LoggedAuthorizer(ChaliceAuthorizer):
    """Logs under the ID of its invocation, which API Gateway's access log has as ``authorizer_request_id``."""

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        logs.request_id.set(context.aws_request_id)
        return super().__call__(event, context)


@blueprint.authorizer(ttl_seconds=CACHE_SECONDS, name="authorizer")
@log_unhandled_errors
def authorizer(request: AuthRequest) -> dict[str, Any]:
    """Return the policy of the token's role and the caller.

    Raises the exception that the gateway turns into a 401 when the token is invalid.
    """
    sys.tracebacklimit = _TRACEBACK_LIMIT
    try:
        claims = tokens.verify(tokens.parse_bearer_header(request.token), TokenType.ACCESS)
    except tokens.InvalidToken as error:
        error_log.info("Token rejected", status=401, reason=str(error))
        audit_log.info("Token refused", event="token.refused", reason=str(error), type="access")
        raise _unauthorized() from None
    except Exception:
        # Lambda's own metric counts the exception of a 401 as an error, too: alarms use this one.
        metrics.increment("AuthorizerErrors")
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


authorizer.__class__ = _LoggedAuthorizer  # Chalice creates it, and does not pass the context to the function


def _policy(role: Role, method_arn: str) -> dict[str, Any]:
    """Return a policy that allows all routes of a role, with and without the trailing slash.

    A method's ARN is ``…:<api>/<stage>/<method>/<path>``
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html).
    """
    api, stage = method_arn.split("/")[:2]
    resources = []
    for method, path in access.routes_allowed_for(role):
        pattern = "/".join("*" if part.startswith("{") else part for part in path.split("/"))
        resources += [f"{api}/{stage}/{method}{pattern}", f"{api}/{stage}/{method}{pattern}/"]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resources}],
    }


def _unauthorized() -> Exception:
    """Return the exception of a 401: API Gateway recognises its text, ``chalice local`` its class."""
    try:
        from chalice.local import NotAuthorizedError  # not in the package that runs on Lambda
    except ImportError:
        sys.tracebacklimit = 0  # Lambda logs the exception, and a 401 is no fault
        return HandledError("Unauthorized")

    class Unauthorized(NotAuthorizedError, HandledError):
        """Handled: it leaves no traceback in the log."""

    logs.request_id.set(str(uuid.uuid4()))
    headers = {"Content-Type": problems.CONTENT_TYPE, "X-Request-ID": logs.request_id.get()}
    return Unauthorized(
        headers | problems.WWW_AUTHENTICATE_INVALID_TOKEN, problems.from_status(401, "Invalid token.", "").encode()
    )
