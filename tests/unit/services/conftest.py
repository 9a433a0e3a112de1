"""Services without AWS."""

from unittest.mock import Mock

import pytest

from chalicelib.adapters import aws, sqs
from chalicelib.security import passwords, signing_keys
from tests.clients import PASSWORD


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every use of AWS fails, except for messages to queues, which are accepted."""
    monkeypatch.setattr(aws, "client", Mock(side_effect=AssertionError("a call to AWS")))
    monkeypatch.setattr(aws, "session", Mock(side_effect=AssertionError("a call to AWS")))
    monkeypatch.setattr(sqs, "send", Mock(return_value=True))
    monkeypatch.setattr(signing_keys, "keyed_hash", Mock(return_value="hash"))


@pytest.fixture
def verified_passwords(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were verified, without the time of a hash."""
    passwords_tried: list[str] = []

    def verify(password: str, password_hash: str | None) -> bool:
        passwords_tried.append(password)
        return password == PASSWORD and password_hash is not None

    monkeypatch.setattr(passwords, "verify_password", verify)
    monkeypatch.setattr(passwords, "needs_rehash", lambda kept: False)
    return passwords_tried
