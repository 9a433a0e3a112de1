"""Pages of the audit log's entries."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core import clock
from chalicelib.core.audit import OPERATOR, Action
from chalicelib.models.audit import AuditEntry


@pytest.fixture
def keys(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sort keys of six entries, one a day, oldest first."""
    entries = []
    for day in range(6):
        at = datetime(2026, 10, 30, 12, tzinfo=UTC) + timedelta(days=day)
        monkeypatch.setattr(clock, "now", lambda at=at: at)
        entries.append(AuditEntry.new(OPERATOR, Action.QUEUE_REDRIVEN, "emails", {}, "r"))
        entries[-1].save()
    return [str(entry.sort_key) for entry in entries]


def test_period_has_its_first_sort_key_and_not_its_last(keys: list[str]) -> None:
    every: Any = {"actor": None, "root": None, "limit": 100}

    forward = AuditEntry.page(first=keys[1], end=keys[4], after=None, backward=False, **every)
    backward = AuditEntry.page(first=keys[1], end=keys[4], after=keys[0], backward=True, **every)

    assert [entry.sort_key for entry in forward] == keys[3:0:-1]
    assert [entry.sort_key for entry in backward] == keys[1:4]
