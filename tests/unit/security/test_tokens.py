from datetime import timedelta
from typing import Any

import jwt
import pytest

from chalicelib.core import clock
from chalicelib.core.roles import Role
from chalicelib.security import tokens
from tests.unit.conftest import FIRST_KEY

KEY = "x" * 64


def issue(kind: tokens.TokenType = tokens.TokenType.ACCESS, **changes: Any) -> str:
    claims: dict[str, Any] = {"user_id": "u", "username": "ada", "role": "student", "session_id": "s"}
    token, _ = tokens.issue(kind, **(claims | {"now": clock.now()} | changes))
    return token


def forged(**changes: Any) -> str:
    """A token with our key whose claims are not all ours."""
    claims = jwt.decode(issue(), options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, KEY, "HS256", headers={"kid": FIRST_KEY})


def test_token_has_user_role_session_and_expiry(aws: None) -> None:
    now = clock.now()

    claims = tokens.verify(issue(now=now), tokens.TokenType.ACCESS)

    assert (claims.user_id, claims.username, claims.role, claims.session_id) == ("u", "ada", Role.STUDENT, "s")
    assert claims.expires_at == int(now.timestamp()) + 30 * 60


def test_token_is_valid_as_its_own_type_only(aws: None) -> None:
    for kind, other in (
        (tokens.TokenType.ACCESS, tokens.TokenType.REFRESH),
        (tokens.TokenType.REFRESH, tokens.TokenType.ACCESS),
    ):
        assert tokens.verify(issue(kind), kind).user_id == "u"
        with pytest.raises(tokens.InvalidToken):
            tokens.verify(issue(kind), other)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "someone"},
        {"aud": "eduflow-prod"},
        {"exp": 1},
        {"iat": 4_000_000_000},
        {"sub": 7},
        {"role": "headmaster"},
        *({name: None} for name in ("iss", "aud", "sub", "jti", "iat", "exp", "typ", "sid", "role", "username")),
    ],
)
def test_token_with_wrong_or_missing_claims_is_rejected(aws: None, changes: dict[str, Any]) -> None:
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(forged(**changes), tokens.TokenType.ACCESS)


def test_expiry_is_checked(aws: None) -> None:
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(issue(now=clock.now() - timedelta(minutes=31)), tokens.TokenType.ACCESS)


def test_keys_are_read_once(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    issue()
    monkeypatch.setattr("chalicelib.adapters.aws.client", None)

    assert tokens.verify(issue(), tokens.TokenType.ACCESS).user_id == "u"
