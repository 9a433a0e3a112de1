import fnmatch
import re
from typing import Any

import pytest
from chalice.app import AuthRequest

from chalicelib import clock, tokens
from chalicelib.handlers.authorizer import authorizer
from chalicelib.roles import ACCESS, Door, Role

API = "arn:aws:execute-api:us-east-1:123456789012:abc123"


def policy_of(role: Role) -> dict[str, Any]:
    token, _ = tokens.issue(tokens.ACCESS, user_id="u", username="ada", role=role, session_id="s", now=clock.now())
    answer: dict[str, Any] = authorizer.func(AuthRequest("TOKEN", f"Bearer {token}", f"{API}/dev/GET/api/v1/auth/me/"))
    return answer


def allows(policy: dict[str, Any], arn: str) -> bool:
    [statement] = policy["policyDocument"]["Statement"]
    return any(fnmatch.fnmatchcase(arn, pattern) for pattern in statement["Resource"])


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("role", Role)
def test_the_policy_is_the_table_whatever_was_called_first(aws: None, role: Role, slash: str) -> None:
    policy = policy_of(role)

    for (method, path), access in ACCESS.items():
        called = re.sub(r"\{\w+\}", "0000000000000000", path) + slash
        allowed = not isinstance(access, Door) and role in access
        assert allows(policy, f"{API}/dev/{method}{called}") == allowed, (method, path)


def test_the_policy_is_for_its_own_stage_and_api_only(aws: None) -> None:
    policy = policy_of(Role.ADMIN)

    assert allows(policy, f"{API}/dev/POST/api/v1/courses")
    assert not allows(policy, f"{API}/prod/POST/api/v1/courses")
    assert not allows(policy, f"{API.replace('abc123', 'other')}/dev/POST/api/v1/courses")


def test_it_tells_the_api_who_calls_in_text(aws: None) -> None:
    answer = policy_of(Role.STUDENT)

    assert answer["principalId"] == "u"
    assert set(answer["context"]) == {"username", "role", "session_id", "expires_at"}
    assert all(isinstance(value, str) for value in answer["context"].values())
