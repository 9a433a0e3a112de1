import base64
import time
from typing import Any

import jwt
import pytest

from chalicelib.core.roles import Role
from chalicelib.security import tokens
from tests.unit.conftest import FIRST_KEY

KEY = "x" * 64


def issue(kind: tokens.TokenType = tokens.TokenType.ACCESS, **changes: Any) -> str:
    claims: dict[str, Any] = {"user_id": "u", "username": "ada", "role": "student", "session_id": "s", "token_id": "t"}
    return tokens.issue(kind, **(claims | {"issued_at": int(time.time())} | changes))


def forged(**changes: Any) -> str:
    """A token with our key whose claims are not all ours."""
    claims = jwt.decode(issue(), options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, KEY, "HS256", headers={"kid": FIRST_KEY})


def test_token_has_user_role_session_and_expiry(aws: None) -> None:
    claims = tokens.verify(issue(issued_at=(now := int(time.time()))), tokens.TokenType.ACCESS)

    assert (claims.user_id, claims.username, claims.role, claims.session_id) == ("u", "ada", Role.STUDENT, "s")
    assert claims.expires_at == now + 30 * 60


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
        tokens.verify(issue(issued_at=int(time.time()) - 31 * 60), tokens.TokenType.ACCESS)


@pytest.mark.parametrize(("seconds", "is_valid"), [(0, True), (4, True), (30, False)])
def test_token_of_a_clock_that_is_ahead(aws: None, seconds: int, is_valid: bool) -> None:
    token = issue(issued_at=int(time.time()) + seconds)

    if is_valid:
        assert tokens.verify(token, tokens.TokenType.ACCESS).user_id == "u"
    else:
        assert reason(token) == "The token is not yet valid (iat)"


def test_clock_skew_adds_nothing_to_the_lifetime(aws: None) -> None:
    assert reason(issue(issued_at=int(time.time()) - 30 * 60)) == "Signature has expired"


def test_keys_are_read_once(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    issue()
    monkeypatch.setattr("chalicelib.adapters.aws.client", None)

    assert tokens.verify(issue(), tokens.TokenType.ACCESS).user_id == "u"


def reason(token: str) -> str:
    """Why a token is not valid: operators find it in the log."""
    with pytest.raises(tokens.InvalidToken) as error:
        tokens.verify(token, tokens.TokenType.ACCESS)
    return str(error.value)


def test_reason_of_an_invalid_token(aws: None) -> None:
    unknown_key = jwt.encode({"sub": "u"}, KEY, "HS256", headers={"kid": "unknown"})
    no_key = jwt.encode({"sub": "u"}, KEY, "HS256")

    assert reason("nonsense") == "malformed token"
    assert reason(issue(tokens.TokenType.REFRESH)) == "not a token of the type access"
    assert reason(issue(issued_at=int(time.time()) - 31 * 60)) == "Signature has expired"
    assert reason(unknown_key) == reason(no_key) == "unknown key ID"
    with pytest.raises(tokens.InvalidToken) as error:
        tokens.parse_bearer_header("Basic x")
    assert str(error.value) == "the Authorization header is not `Bearer <token>`"


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer a.b.c", "a.b.c"), ("bearer a.b.c", "a.b.c"), ("BEARER  a.b.c ", "a.b.c"), ("Bearer a b", "a b")],
)
def test_bearer_header(header: str, token: str) -> None:
    assert tokens.parse_bearer_header(header) == token


def test_token_of_4096_characters_at_most_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []

    def parse(token: str) -> dict[str, Any]:
        parsed.append(len(token))
        raise jwt.InvalidTokenError

    monkeypatch.setattr(tokens, "_key_id", parse)
    for length in (4096, 4097, 10**6):
        with pytest.raises(tokens.InvalidToken):
            tokens.verify("a.b." + "c" * (length - 4), tokens.TokenType.ACCESS)

    assert parsed == [4096]


@pytest.mark.parametrize("token", ["a.b", "a.b.c.d", "a.b.c=", "a.b.c\n", " a.b.c", "a..c", "é.b.c"])
def test_other_spelling_of_a_token_is_not_parsed(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setattr(tokens, "_key_id", None)

    assert reason(token) == "malformed token"


@pytest.mark.parametrize("header", [b"x", b"[]", b"7", b"{", b"[" * 2000, b'{"kid": ["x"]}', b"\xff\xfe"])
def test_token_with_a_malformed_header_is_rejected(aws: None, header: bytes) -> None:
    encoded = base64.urlsafe_b64encode(header).decode().rstrip("=")

    assert reason(f"{encoded}.b.c") in ("malformed header", "unknown key ID")


def test_token_names_its_stage_and_key(aws: None) -> None:
    token = issue()

    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["typ"]) == ("eduflow", "eduflow-test", "access")
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": FIRST_KEY}


def test_algorithm_is_fixed(aws: None) -> None:
    claims = jwt.decode(issue(), options={"verify_signature": False})

    for algorithm, key in (("none", None), ("HS384", KEY), ("HS512", KEY)):
        token = jwt.encode(claims, key, algorithm, headers={"kid": FIRST_KEY})  # type: ignore[arg-type]
        with pytest.raises(tokens.InvalidToken):
            tokens.verify(token, tokens.TokenType.ACCESS)
