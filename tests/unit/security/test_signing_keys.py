"""The signing keys: validity over time, and rotation."""

import json
import time
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import InvalidInput
from chalicelib.core.pagination import Cursor
from chalicelib.core.roles import Role
from chalicelib.security import signing_keys, tokens
from chalicelib.security.signing_keys import ACTIVATION_DELAY_SECONDS, CACHE_SECONDS, MAX_TOKEN_LIFETIME_SECONDS
from chalicelib.web import cursors
from ops import rotate_keys
from tests.factories import create_token
from tests.unit.conftest import FIRST_KEY

NAME = "eduflow/test/signing-keys"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def secret() -> dict[str, str]:
    kept: dict[str, str] = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=NAME)["SecretString"])
    return kept


def issue() -> str:
    return create_token(Caller("u", "ada", Role.STUDENT, session_id="s"))


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        '"text"',
        json.dumps({"first": "x" * 64}),
        json.dumps({FIRST_KEY: "x" * 31}),
        json.dumps({FIRST_KEY: 7}),
        json.dumps({FIRST_KEY: "x" * 64, "2026-11-22T09:00:00Z": ""}),
        json.dumps({"2999-01-01T00:00:00Z": "y" * 64}),
    ],
)
def test_nothing_is_signed_without_valid_keys(aws: None, text: str) -> None:
    token, cursor = issue(), cursors.encode(Cursor("here"), "a list")
    signing_keys.reset()
    boto3.client("secretsmanager").put_secret_value(SecretId=NAME, SecretString=text)

    with pytest.raises(signing_keys.InvalidSigningKeys, match=NAME):
        issue()
    with pytest.raises((signing_keys.InvalidSigningKeys, tokens.InvalidToken)):
        tokens.verify(token, tokens.TokenType.ACCESS)
    with pytest.raises((signing_keys.InvalidSigningKeys, InvalidInput)):
        cursors.decode(cursor, "a list")


def test_rotated_key_is_published_before_it_signs(aws: None) -> None:
    new = rotate_keys.rotate(NOW)

    assert set(secret()) == {FIRST_KEY, new}
    found, begins = signing_keys.signing_keys(), NOW.timestamp() + ACTIVATION_DELAY_SECONDS
    assert found.active_key(begins - 1)[0] == FIRST_KEY
    assert found.active_key(begins)[0] == new
    assert set(found.verification_keys(NOW.timestamp())) == {FIRST_KEY, new}
    assert set(found.verification_keys(begins + MAX_TOKEN_LIFETIME_SECONDS)) == {FIRST_KEY, new}
    assert set(found.verification_keys(begins + MAX_TOKEN_LIFETIME_SECONDS + 120)) == {new}


def test_rotation_is_trusted_by_processes_with_old_keys(aws: None) -> None:
    """Each second of a rotation, for every age that a process's copy of the secret can have."""
    before = signing_keys.signing_keys()
    rotate_keys.rotate(NOW)
    signing_keys.reset()
    after = signing_keys.signing_keys()

    for second in range(-10, ACTIVATION_DELAY_SECONDS + CACHE_SECONDS + 10):
        time_ = NOW.timestamp() + second
        could_have = [after] if second > CACHE_SECONDS else [before] if second < 0 else [before, after]
        for signer in could_have:
            key_id, text = signer.active_key(time_)
            assert all(verifier.verification_keys(time_).get(key_id) == text for verifier in could_have), second


def test_rotation_drops_keys_that_are_no_longer_trusted(aws: None) -> None:
    second = rotate_keys.rotate(NOW)
    with pytest.raises(rotate_keys.RotationInProgress, match=second):
        rotate_keys.rotate(NOW + timedelta(seconds=ACTIVATION_DELAY_SECONDS - 1))

    third = rotate_keys.rotate(NOW + timedelta(days=1))
    fourth = rotate_keys.rotate(NOW + timedelta(days=7, hours=1))

    assert set(secret()) == {second, third, fourth}
    assert len(set(secret().values())) == 3


def test_keys_stay_in_use_while_secrets_manager_is_down(
    aws: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, reads = time.time(), list[float]()
    token = issue()

    def fails() -> signing_keys.SigningKeys:
        reads.append(time.time())
        raise EndpointConnectionError(endpoint_url="secretsmanager")

    with monkeypatch.context() as patch:
        patch.setattr(signing_keys, "read", fails)
        for seconds in range(0, 3600, 10):
            patch.setattr("chalicelib.security.signing_keys.time.time", lambda seconds=seconds: now + seconds)
            assert signing_keys.signing_keys().keys
        assert 80 < len(reads) <= 112, "some every 30 seconds, after the first 300"
        signing_keys.reset()
        with pytest.raises(EndpointConnectionError):
            signing_keys.signing_keys()

    assert tokens.verify(token, tokens.TokenType.ACCESS).user_id == "u"
    assert {record.message for record in caplog.records if record.levelname == "ERROR"} == {
        "The signing keys cannot be read again: the previous ones stay in use"
    }


def test_compromised_keys_are_revoked(aws: None) -> None:
    token = issue()

    only = rotate_keys.revoke_and_replace(clock.now())
    signing_keys.reset()

    assert set(secret()) == {only}
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(token, tokens.TokenType.ACCESS)
    assert tokens.verify(issue(), tokens.TokenType.ACCESS).user_id == "u"


def test_changed_secret_is_read_after_the_cache_expires(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.0
    monkeypatch.setattr("chalicelib.security.signing_keys.time.time", lambda: seconds)
    signing_keys.reset()
    known = signing_keys.signing_keys()
    rotate_keys.rotate(clock.now())

    seconds = CACHE_SECONDS
    assert signing_keys.signing_keys() == known
    seconds = CACHE_SECONDS + 0.1
    assert len(signing_keys.signing_keys().keys) == 2


@pytest.mark.parametrize("key", ["x" * 32, "é" * 16])
def test_key_of_32_bytes_is_long_enough(aws: None, key: str) -> None:
    signing_keys.reset()
    boto3.client("secretsmanager").put_secret_value(SecretId=NAME, SecretString=json.dumps({FIRST_KEY: key}))

    assert signing_keys.signing_keys().active_key(0) == (FIRST_KEY, key)


def test_key_signs_from_its_time_in_utc(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        assert signing_keys._activation_time("2026-11-22T09:00:00Z") == NOW.timestamp()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_cursor_is_valid_after_a_rotation(aws: None) -> None:
    before = cursors.encode(Cursor("here"), "a list")
    rotate_keys.rotate(clock.now() - timedelta(days=1))
    signing_keys.reset()
    after = cursors.encode(Cursor("here"), "a list")

    assert before != after
    assert cursors.decode(before, "a list") == cursors.decode(after, "a list") == Cursor("here")
