import json
from datetime import timedelta
from typing import Any

import boto3
import jwt
import pytest

from chalicelib import clock, keys, tokens
from chalicelib.roles import Role


def issue(kind: str = tokens.ACCESS, **changes: Any) -> str:
    claims: dict[str, Any] = {"user_id": "u", "username": "ada", "role": "student", "session_id": "s"}
    token, _ = tokens.issue(kind, **(claims | {"now": clock.now()} | changes))
    return token


def forged(**changes: Any) -> str:
    """A token with our key whose claims are not all ours."""
    signing = keys.signing_keys()
    claims = jwt.decode(issue(), options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, signing.signing_key, "HS256", headers={"kid": signing.active})


def test_a_token_says_who_what_and_until_when(aws: None) -> None:
    now = clock.now()

    claims = tokens.verify(issue(now=now), tokens.ACCESS)

    assert (claims.user_id, claims.username, claims.role, claims.session_id) == ("u", "ada", Role.STUDENT, "s")
    assert claims.expires_at == int(now.timestamp()) + 30 * 60


def test_each_kind_passes_for_itself_only(aws: None) -> None:
    for kind, other in ((tokens.ACCESS, tokens.REFRESH), (tokens.REFRESH, tokens.ACCESS)):
        assert tokens.verify(issue(kind), kind).user_id == "u"
        with pytest.raises(tokens.BadToken):
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
def test_wrong_or_missing_claims_are_refused(aws: None, changes: dict[str, Any]) -> None:
    with pytest.raises(tokens.BadToken):
        tokens.verify(forged(**changes), tokens.ACCESS)


def test_expiry_is_checked(aws: None) -> None:
    with pytest.raises(tokens.BadToken):
        tokens.verify(issue(now=clock.now() - timedelta(minutes=31)), tokens.ACCESS)


def test_foreign_signatures_algorithms_and_keys_are_refused(aws: None) -> None:
    signing = keys.signing_keys()
    claims = jwt.decode(issue(), options={"verify_signature": False})
    head, body, signature = issue().split(".")

    hostile = [
        jwt.encode(claims, "y" * 64, "HS256", headers={"kid": signing.active}),
        jwt.encode(claims, signing.signing_key, "HS256", headers={"kid": "unknown"}),
        jwt.encode(claims, signing.signing_key, "HS256", headers={"kid": "../../dev/null"}),
        jwt.encode(claims, signing.signing_key, "HS256"),
        jwt.encode(claims, signing.signing_key, "HS512", headers={"kid": signing.active}),
        jwt.encode(claims, "", "none", headers={"kid": signing.active}),
        f"{head}.{body}.",
        f"{head}.{body[:-4]}AAAA.{signature}",
        "",
        "a.b.c",
        "é" * 10,
    ]

    for token in hostile:
        with pytest.raises(tokens.BadToken):
            tokens.verify(token, tokens.ACCESS)


@pytest.mark.parametrize("secret", ["", "{}", "[]", '{"active": "a"}', '{"active": "a", "a": "short"}', '"text"'])
def test_without_good_keys_nothing_is_signed_or_trusted(aws: None, secret: str) -> None:
    token = issue()
    keys._cached = None
    boto3.client("secretsmanager").put_secret_value(SecretId="eduflow/test/signing-keys", SecretString=secret or "x")

    with pytest.raises(keys.BadSigningKeys, match="eduflow/test/signing-keys"):
        issue()
    with pytest.raises(keys.BadSigningKeys):
        tokens.verify(token, tokens.ACCESS)


def test_a_new_key_signs_and_the_old_one_still_verifies(aws: None) -> None:
    old_token, old = issue(), keys.signing_keys()
    boto3.client("secretsmanager").put_secret_value(
        SecretId="eduflow/test/signing-keys",
        SecretString=json.dumps({"active": "second", "second": "y" * 64, "first": old.signing_key}),
    )
    keys._cached = None

    assert jwt.get_unverified_header(issue())["kid"] == "second"
    assert tokens.verify(old_token, tokens.ACCESS).user_id == "u"


def test_the_keys_are_asked_for_once(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    issue()
    monkeypatch.setattr("chalicelib.aws.client", None)

    assert tokens.verify(issue(), tokens.ACCESS).user_id == "u"
