"""Services without AWS."""

from unittest.mock import Mock

import pytest

from chalicelib.adapters import aws, sqs
from chalicelib.security import signing_keys


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every use of AWS fails, except for messages to queues, which are accepted."""
    monkeypatch.setattr(aws, "client", Mock(side_effect=AssertionError("a call to AWS")))
    monkeypatch.setattr(aws, "session", Mock(side_effect=AssertionError("a call to AWS")))
    monkeypatch.setattr(sqs, "send", Mock(return_value=True))
    monkeypatch.setattr(signing_keys, "keyed_hash", Mock(return_value="hash"))
