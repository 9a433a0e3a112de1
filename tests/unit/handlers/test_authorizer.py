import fnmatch
import json
import re
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from chalice.app import AuthRequest

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.handlers.authorizer import authorizer
from chalicelib.observability import logs, metrics
from chalicelib.security import tokens
from chalicelib.security.access import ROUTE_ACCESS, AuthMode
from tests.factories import create_token

API = "arn:aws:execute-api:us-east-1:123456789012:abc123"


def policy_of(role: Role) -> dict[str, Any]:
    token = create_token(Caller("u", "ada", Role(role), "s"))
    response: dict[str, Any] = authorizer.func(
        AuthRequest("TOKEN", f"Bearer {token}", f"{API}/dev/GET/api/v1/auth/me/")
    )
    return response


def allows(policy: dict[str, Any], arn: str) -> bool:
    [statement] = policy["policyDocument"]["Statement"]
    return any(fnmatch.fnmatchcase(arn, pattern) for pattern in statement["Resource"])


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("role", Role)
def test_policy_allows_the_routes_of_the_role(aws: None, role: Role, slash: str) -> None:
    policy = policy_of(role)

    for (method, path), access in ROUTE_ACCESS.items():
        called = re.sub(r"\{\w+\}", "0000000000000000", path) + slash
        allowed = not isinstance(access, AuthMode) and role in access
        assert allows(policy, f"{API}/dev/{method}{called}") == allowed, (method, path)


def test_policy_allows_its_own_stage_and_api_only(aws: None) -> None:
    policy = policy_of(Role.ADMIN)

    assert allows(policy, f"{API}/dev/POST/api/v1/courses")
    assert not allows(policy, f"{API}/prod/POST/api/v1/courses")
    assert not allows(policy, f"{API.replace('abc123', 'other')}/dev/POST/api/v1/courses")


def test_authorizer_context_has_the_caller_as_text(aws: None) -> None:
    response = policy_of(Role.STUDENT)

    assert response["principalId"] == "u"
    assert set(response["context"]) == {"username", "role", "session_id", "expires_at"}
    assert all(isinstance(value, str) for value in response["context"].values())


def counted(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The metrics in the log after a call with a token that the authorizer does not accept."""
    metrics.flush()
    caplog.clear()
    with pytest.raises(Exception, match=r"."):
        authorizer.func(AuthRequest("TOKEN", "Bearer a.b.c", f"{API}/dev/GET/api/v1/auth/me/"))
    metrics.flush()
    return [json.loads(logs.JsonFormatter().format(one)) for one in caplog.records if one.name == "app.metric"]


def test_refused_token_counts_as_no_error(aws: None, caplog: pytest.LogCaptureFixture) -> None:
    assert counted(caplog) == []


def test_unexpected_error_is_counted_for_the_alarm(
    aws: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "verify", Mock(side_effect=RuntimeError("Secrets Manager is down")))

    [line] = counted(caplog)

    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("eduflow", [["Stage"]])
    assert directive["Metrics"] == [{"Name": "AuthorizerErrors", "Unit": "Count"}]
    assert (line["AuthorizerErrors"], line["Stage"]) == (1, "test")


def test_refused_token_is_logged_under_the_id_of_the_invocation(
    aws: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API Gateway's access log has the same ID, next to that of the request."""
    monkeypatch.setattr("chalicelib.handlers.authorizer._unauthorized", lambda: Exception("Unauthorized"))
    caplog.set_level("INFO")
    event = {"type": "TOKEN", "authorizationToken": "Bearer a.b.c", "methodArn": f"{API}/dev/GET/api/v1/auth/me/"}

    with pytest.raises(Exception, match="Unauthorized"):
        authorizer(event, SimpleNamespace(aws_request_id="invocation"))

    [line] = [record for record in caplog.records if record.name == "app.audit"]
    assert line.__dict__["extra"] == {"event": "token.refused", "reason": "malformed header", "type": "access"}
    assert logs.request_id.get() == "invocation"
