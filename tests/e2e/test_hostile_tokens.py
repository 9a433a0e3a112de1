"""Invalid tokens: every kind of endpoint responds 401, never 5xx.

docs/security.md documents the table.
"""

import base64
import hashlib
import hmac
import http.client
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.clients import PASSWORD, Actor, Api, register
from tests.e2e.apis import EACH_API
from tests.stack import RunningStack

pytestmark = pytest.mark.contract

NOW = int(time.time())
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"
JWK = {"kty": "oct", "k": "eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXk"}
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
CLAIMS = ("iss", "aud", "sub", "jti", "iat", "exp", "typ", "sid", "role", "username")
MISSING = object()

# What a case changes in a good token: its header, its claims, its key, and the text at last.
Case = dict[str, Any]
CASES: dict[str, Case] = {
    "no algorithm": {"header": {"alg": "none"}, "signature": ""},
    "no algorithm, in mixed case": {"header": {"alg": "nOnE"}, "signature": ""},
    "no algorithm, with a valid HMAC": {"header": {"alg": "none"}},
    "algorithm missing": {"header": {"alg": MISSING}},
    "algorithm in lower case": {"header": {"alg": "hs256"}},
    "algorithm in a list": {"header": {"alg": ["HS256"]}},
    "HS384 with our key": {"header": {"alg": "HS384"}, "hash": "HS384"},
    "HS512 with our key": {"header": {"alg": "HS512"}, "hash": "HS512"},
    "RS256 in the header, signed by HMAC": {"header": {"alg": "RS256"}},
    "ES256, a public key as the secret": {"header": {"alg": "ES256"}, "key": PUBLIC_KEY},
    "HS256, a public key as the secret": {"key": PUBLIC_KEY},
    "an empty key": {"key": ""},
    "another key": {"key": "y" * 64},
    "kid missing": {"header": {"kid": MISSING}},
    "kid unknown": {"header": {"kid": "2026-01-01T00:00:00Z"}},
    "kid empty": {"header": {"kid": ""}},
    "kid null": {"header": {"kid": None}},
    "kid a number": {"header": {"kid": 0}},
    "kid a list": {"header": {"kid": ["1970-01-01T00:00:00Z"]}},
    "kid an object": {"header": {"kid": {"a": 1}}},
    "kid a path": {"header": {"kid": "../../../../dev/null"}, "key": ""},
    "kid a query": {"header": {"kid": "' UNION SELECT 'y' -- "}, "key": "y"},
    "kid a URL": {"header": {"kid": "https://example.org/key"}},
    "kid an unpaired surrogate": {"header": {"kid": "\ud800"}},
    "kid with a line for the log": {"header": {"kid": 'x"\n{"level": "INFO", "message": "all is well"}'}},
    "its own key in the header (jwk)": {"header": {"jwk": JWK, "kid": "own"}, "key": "y" * 37},
    "a key by URL (jku)": {"header": {"jku": "https://example.org/keys", "kid": "own"}, "key": "y" * 64},
    "a key by URL (x5u)": {"header": {"x5u": "https://example.org/keys", "kid": "own"}, "key": "y" * 64},
    "an unknown critical header": {"header": {"crit": ["exp"], "exp": NOW}},
    "an unencoded payload (b64)": {"header": {"crit": ["b64"], "b64": False}},
    "expired": {"claims": {"exp": NOW - 1}},
    "expired long ago": {"claims": {"exp": 0}},
    "never expiring": {"claims": {"exp": float("inf")}},
    "expiring in words": {"claims": {"exp": "tomorrow"}},
    "not yet valid (nbf)": {"claims": {"nbf": NOW + 3600}},
    "issued in the future (iat)": {"claims": {"iat": NOW + 3600}},
    "another issuer": {"claims": {"iss": "someone"}},
    "another stage's audience": {"claims": {"aud": "eduflow-prod"}},
    "an empty list of audiences": {"claims": {"aud": []}},
    "a refresh token": {"claims": {"typ": "refresh"}},
    "an unknown type (typ)": {"claims": {"typ": "admin"}},
    "an unknown role": {"claims": {"role": "headmaster"}},
    "roles in a list": {"claims": {"role": ["admin"]}},
    "a subject that is a number": {"claims": {"sub": 7}},
    **{f"claim {name} missing": {"claims": {name: MISSING}} for name in CLAIMS},
    "claims tampered with": {"tamper": {"role": "admin"}},
    "signature stripped": {"signature": ""},
    "signature's first character changed": {"change": lambda token: _swapped(token, token.rindex(".") + 1)},
    "signature's last character changed": {"change": lambda token: _swapped(token, len(token) - 1)},
    "signature padded": {"change": lambda token: token + "="},
    "a part too many": {"change": lambda token: token + ".e30"},
    "five parts, as a JWE has": {"change": lambda token: token + ".e30.e30"},
    "a part too few": {"change": lambda token: token.rpartition(".")[0]},
    "a space inside": {"change": lambda token: token.replace(".", " .", 1)},
    "empty": {"change": lambda token: ""},
    "the word null": {"change": lambda token: "null"},
    "two dots": {"change": lambda token: ".."},
    "no ASCII": {"change": lambda token: "é.è.ê"},
    "a header of 1,500 brackets": {"change": lambda token: _encoded(b"[" * 1500) + token[token.index(".") :]},
    "a number of 2,500 digits": {"change": lambda token: _encoded(b'{"kid":' + b"9" * 2500 + b"}") + ".e30.e30"},
    "a username of 6,000 characters": {"claims": {"username": "x" * 6000}},
    "8,000 letters": {"change": lambda token: "a" * 8000},
}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _swapped(token: str, at: int) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


def _json(*parts: dict[str, Any]) -> bytes:
    merged = {name: value for part in parts for name, value in part.items()}
    return json.dumps({name: value for name, value in merged.items() if value is not MISSING}).encode()


class Session(NamedTuple):
    """What the tokens of a session have."""

    user_id: str
    id: str
    refresh_id: str


def make(stack: RunningStack, session: Session, case: Case) -> str:
    """Return the token of a case for an open session; a valid one if the case is empty."""
    key_id, key = min(stack.signing_keys().items())
    claims = {
        "iss": "eduflow",
        "aud": f"eduflow-{stack.stage}",
        "sub": session.user_id,
        "jti": session.refresh_id,
        "iat": NOW - 10,
    }
    claims |= {"exp": NOW + 1700, "typ": "access", "sid": session.id, "role": "student", "username": "ada"}
    header = _json({"alg": "HS256", "typ": "JWT", "kid": key_id}, case.get("header", {}))
    signed = f"{_encoded(header)}.{_encoded(_json(claims, case.get('claims', {})))}"
    mac = hmac.digest(case.get("key", key).encode(), signed.encode(), HASHES[case.get("hash", "HS256")])
    if "tamper" in case:
        signed = f"{_encoded(header)}.{_encoded(_json(claims, case['tamper']))}"
    token = f"{signed}.{case.get('signature', _encoded(mac))}"
    change = case.get("change", str)
    return str(change(token))


def log_in(api: Api, username: str) -> Session:
    tokens = api.call("POST", "/auth/login/", json={"username": username, "password": PASSWORD}).json()
    claims = json.loads(base64.urlsafe_b64decode(tokens["refresh"].split(".")[1] + "=="))
    return Session(claims["sub"], claims["sid"], claims["jti"])


@pytest.fixture(scope="module")
def username(stack: RunningStack) -> str:
    return register(stack.api, "student").username


@pytest.fixture(scope="module")
def session(stack: RunningStack, username: str) -> Session:
    return log_in(stack.api, username)


@EACH_API
def test_base_tokens_are_valid(stack: RunningStack, session: Session, username: str, api: Api) -> None:
    token = make(stack, session, {})
    refreshed, left = (make(stack, log_in(api, username), {"claims": {"typ": "refresh"}}) for _ in range(2))

    assert api.call("POST", "/auth/refresh/", json={"refresh": refreshed}).status_code == 200
    assert api.call("POST", "/auth/logout/", json={"refresh": left}).status_code == 204
    assert api.call("GET", "/courses/", token).status_code == 200
    assert api.call("GET", "/enrollments/", token).status_code == 200
    assert api.call("GET", "/courses/", headers={"Authorization": f"bearer {token}"}).status_code == 200


@pytest.mark.parametrize("name", CASES)
@EACH_API
def test_hostile_token_is_a_401(stack: RunningStack, session: Session, api: Api, name: str) -> None:
    header = {"Authorization": b"Bearer " + make(stack, session, CASES[name]).encode("latin-1")}
    refresh = CASES[name] | {"claims": {"typ": "refresh"} | CASES[name].get("claims", {})}
    if name == "a refresh token":
        refresh = {"claims": {"typ": "access"}}
    body = {"refresh": make(stack, session, refresh)[:4096]}

    guarded = api.call("GET", "/enrollments/", headers=header)
    optional = api.call("GET", "/courses/", headers=header)
    refreshed, left = (api.call("POST", f"/auth/{name}/", json=body) for name in ("refresh", "logout"))

    for response in (guarded, optional, refreshed, left):
        assert response.status_code == response.json()["status"] == 401, response.text
        assert response.headers["Content-Type"] == "application/problem+json"
    # API Gateway has one response for missing and for rejected tokens; the others say error="invalid_token".
    assert guarded.headers["WWW-Authenticate"].startswith('Bearer realm="EduFlow"')


@pytest.mark.parametrize("scheme", ["Basic YTpi", "Bearer", "Bearer ", "Token x", "", "Bearer one two"])
def test_malformed_authorization_header_is_a_401(gateway: Api, scheme: str) -> None:
    for path in ("/enrollments/", "/courses/"):
        assert gateway.call("GET", path, headers={"Authorization": scheme}).status_code == 401


@pytest.mark.embedded  # it opens its own connection to the embedded stack's port
@pytest.mark.parametrize("second", ["another good one", "nonsense"])
@pytest.mark.parametrize("path", ["/api/v1/enrollments/", "/api/v1/courses/"])
def test_two_valid_tokens_are_a_401(
    stack: RunningStack, session: Session, gateway: Api, path: str, second: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    connection.putrequest("GET", path)
    for token in (make(stack, session, {}), make(stack, session, {}) if second == "another good one" else second):
        connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()

    assert connection.getresponse().status == 401
    connection.close()


def test_cached_policy_does_not_outlive_the_token(stack: RunningStack, session: Session, gateway: Api) -> None:
    assert Actor(gateway, token=make(stack, session, {})).get("/enrollments/").status_code == 200  # functions are warm
    expires_at = int(time.time()) + 3
    token = make(stack, session, {"claims": {"exp": expires_at}})

    assert Actor(gateway, token=token).get("/enrollments/").status_code == 200
    time.sleep(expires_at + 0.1 - time.time())
    assert Actor(gateway, token=token).get("/enrollments/").status_code == 401


def test_documented_token_table_is_complete() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")

    assert [name for name in CASES if f"| {name} |" not in documented] == []
