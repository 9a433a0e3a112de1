"""Erases the accounts again that were erased after the time to which tables were restored.

A restored table has the personal data of users who were erased since. The ledger, which must not be restored, has their
IDs for 40 days.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from chalicelib.adapters import sqs
from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock
from chalicelib.core.errors import Conflict
from chalicelib.models.ledger import Event, LedgerEntry
from chalicelib.models.users import User
from chalicelib.services import users


@dataclass
class Replay:
    """The erasures found so far, those that were repeated, and why others could not be, by the user's ID."""

    found: int = 0
    erased: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def run(since: datetime, now: datetime) -> Iterator[Replay]:
    """Repeat the erasures since a time, oldest first; yield the numbers so far. It can run again at any time.

    It also queues the deletion of what the restored tables have of each user, such as enrollments. A user stays who
    owns published courses again: these have to be unpublished first.
    """
    replay = Replay()
    for at, user_id in _erased_since(since, now):
        replay.found += 1
        if User.find(user_id) is None:
            sqs.send(sqs.DELETIONS, sqs.deletion_message(CascadeTarget.USER, user_id))
        else:
            try:
                users.erase(user_id, at)
                replay.erased += 1
            except Conflict as error:
                replay.refused[user_id] = error.detail
        yield replay


def _erased_since(since: datetime, now: datetime) -> Iterator[tuple[str, str]]:
    """Return time and user ID of the erasures since a time, oldest first."""
    day = since.date()
    while day <= now.date():
        first = max(since, datetime.combine(day, time(), since.tzinfo))
        end = datetime.combine(day, time.max, since.tzinfo)
        yield from LedgerEntry.entities_between(
            Event.USER_DELETED, clock.format_timestamp(first), clock.format_timestamp(end)
        )
        day += timedelta(days=1)
