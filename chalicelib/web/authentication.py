"""Authentication and role check of a request."""

import time
from collections.abc import Mapping
from typing import Any

from chalice.app import Request

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Forbidden, NotAuthenticated
from chalicelib.core.roles import Role
from chalicelib.observability.logs import audit_log
from chalicelib.security import tokens
from chalicelib.security.access import AccessRule, AuthMode
from chalicelib.security.tokens import InvalidToken, TokenType


def authenticate(rule: AccessRule, request: Request) -> Caller | None:
    """Return the caller, or None if the endpoint requires no token and reads none.

    Raises:
        NotAuthenticated: The token is missing or invalid.
        Forbidden: The caller's role is not allowed.
    """
    if rule is AuthMode.PUBLIC:
        return None
    header = request.headers.get("authorization")
    if rule is AuthMode.OPTIONAL:
        return _authenticate_bearer(header, request) if header is not None else None
    caller = _caller_of_authorizer(request.context)
    if caller is None:  # a gateway without authorizers, such as LocalStack's free edition
        if header is None:
            raise NotAuthenticated("Authentication required.")
        caller = _authenticate_bearer(header, request)
    if caller.role not in rule:
        raise Forbidden("Your role does not permit this operation.")
    return caller


def _caller_of_authorizer(request_context: Mapping[str, Any]) -> Caller | None:
    """Return the caller that the gateway's authorizer verified, or None if it passed no complete context.

    Only API Gateway writes ``requestContext``: nothing of it comes from the client.

    Raises:
        NotAuthenticated: The token has expired. The gateway's cached policy can outlive it.
    """
    authorizer_context = request_context.get("authorizer") or {}
    try:
        caller = Caller(
            authorizer_context["principalId"],
            authorizer_context["username"],
            Role(authorizer_context["role"]),
            authorizer_context["session_id"],
        )
        expires_at = int(authorizer_context["expires_at"])
    except (KeyError, ValueError, TypeError):
        return None
    if expires_at <= time.time():
        raise NotAuthenticated("The token has expired.", is_token_invalid=True)
    return caller


def _authenticate_bearer(header: str, request: Request) -> Caller:
    headers: Mapping[str, list[str]] = request.to_original_event().get("multiValueHeaders") or {}
    if any(name.lower() == "authorization" and len(values) > 1 for name, values in headers.items()):
        raise NotAuthenticated("The request has more than one Authorization header.")
    try:
        claims = tokens.verify(tokens.parse_bearer_header(header), TokenType.ACCESS)
    except InvalidToken as error:
        audit_log.info("Token refused", event="token.refused", reason=str(error), type="access")
        raise NotAuthenticated("Invalid token.", is_token_invalid=True) from error
    return Caller(claims.user_id, claims.username, claims.role, claims.session_id)
