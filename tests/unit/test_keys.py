"""The keys: what is trusted when, and how they change under everybody's feet."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from chalicelib.core import clock
from chalicelib.core.errors import InvalidInput
from chalicelib.core.pagination import Cursor
from chalicelib.security import signing_keys, tokens
from chalicelib.security.signing_keys import ACTIVATION_DELAY_SECONDS, CACHE_SECONDS, MAX_TOKEN_LIFETIME_SECONDS
from chalicelib.web import cursors
from ops import rotate_keys
from tests.unit.conftest import FIRST_KEY

NAME = "eduflow/test/signing-keys"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def secret() -> dict[str, str]:
    kept: dict[str, str] = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=NAME)["SecretString"])
    return kept


def issue() -> str:
    return tokens.issue(
        tokens.TokenType.ACCESS, user_id="u", username="ada", role="student", session_id="s", now=clock.now()
    )[0]


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
def test_without_good_keys_nothing_is_signed_or_trusted(aws: None, text: str) -> None:
    token, cursor = issue(), cursors.encode(Cursor("here"), "a list")
    signing_keys.reset()
    boto3.client("secretsmanager").put_secret_value(SecretId=NAME, SecretString=text)

    with pytest.raises(signing_keys.InvalidSigningKeys, match=NAME):
        issue()
    with pytest.raises((signing_keys.InvalidSigningKeys, tokens.InvalidToken)):
        tokens.verify(token, tokens.TokenType.ACCESS)
    with pytest.raises((signing_keys.InvalidSigningKeys, InvalidInput)):
        cursors.decode(cursor, "a list")


def test_a_rotation_is_published_long_before_it_signs_and_the_old_key_stays_for_its_last_token(aws: None) -> None:
    new = rotate_keys.rotate(NOW)

    assert set(secret()) == {FIRST_KEY, new}
    found, begins = signing_keys.signing_keys(), NOW.timestamp() + ACTIVATION_DELAY_SECONDS
    assert found.active_key(begins - 1)[0] == FIRST_KEY
    assert found.active_key(begins)[0] == new
    assert set(found.verification_keys(NOW.timestamp())) == {FIRST_KEY, new}
    assert set(found.verification_keys(begins + MAX_TOKEN_LIFETIME_SECONDS)) == {FIRST_KEY, new}
    assert set(found.verification_keys(begins + MAX_TOKEN_LIFETIME_SECONDS + 120)) == {new}


def test_whatever_a_process_has_read_every_other_one_trusts_what_it_signs(aws: None) -> None:
    """Each second of a rotation, for every age that a process's copy of the secret can have."""
    before = signing_keys.signing_keys()
    rotate_keys.rotate(NOW)
    signing_keys.reset()
    after = signing_keys.signing_keys()

    for second in range(-10, ACTIVATION_DELAY_SECONDS + CACHE_SECONDS + 10):
        moment = NOW.timestamp() + second
        could_have = [after] if second > CACHE_SECONDS else [before] if second < 0 else [before, after]
        for signer in could_have:
            key_id, text = signer.active_key(moment)
            assert all(verifier.verification_keys(moment).get(key_id) == text for verifier in could_have), second


def test_one_rotation_at_a_time_and_the_next_one_drops_what_is_trusted_no_more(aws: None) -> None:
    second = rotate_keys.rotate(NOW)
    with pytest.raises(rotate_keys.RotationInProgress, match=second):
        rotate_keys.rotate(NOW + timedelta(seconds=ACTIVATION_DELAY_SECONDS - 1))

    third = rotate_keys.rotate(NOW + timedelta(days=1))
    fourth = rotate_keys.rotate(NOW + timedelta(days=7, hours=1))

    assert set(secret()) == {second, third, fourth}
    assert len(set(secret().values())) == 3


def test_keys_that_others_know_are_trusted_no_more(aws: None) -> None:
    token = issue()

    only = rotate_keys.revoke_and_replace(clock.now())
    signing_keys.reset()

    assert set(secret()) == {only}
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(token, tokens.TokenType.ACCESS)
    assert tokens.verify(issue(), tokens.TokenType.ACCESS).user_id == "u"


def test_a_changed_secret_is_known_when_the_old_copy_is_old_enough(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.0
    monkeypatch.setattr("chalicelib.security.signing_keys.time.monotonic", lambda: seconds)
    signing_keys.reset()
    known = signing_keys.signing_keys()
    rotate_keys.rotate(clock.now())

    seconds = CACHE_SECONDS
    assert signing_keys.signing_keys() == known
    seconds = CACHE_SECONDS + 0.1
    assert len(signing_keys.signing_keys().keys) == 2
