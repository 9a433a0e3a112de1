"""Erases the accounts again that were erased after the time to which tables were restored.

A restored table has the personal data of users who were erased since. The ledger, which must not be restored, has their
IDs for 40 days.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
    """The erasures found so far, those that were repeated, and the IDs of users who could not be erased."""

    found: int = 0
    erased: int = 0
    owners: tuple[str, ...] = ()


def run(since: datetime, now: datetime) -> Iterator[Replay]:
    """Repeat the erasures since a time, oldest first; yield the numbers so far. It can run again at any time.

    It also queues the deletion of what the restored tables have of each user, such as enrollments. A user who owned
    published courses at the restored time stays, and is named: the courses have to be unpublished first.
    """
    replay = Replay()
    for user_id in _erased_since(since, now):
        replay.found += 1
        if User.find(user_id) is None:
            sqs.send(sqs.DELETIONS, sqs.deletion_message(CascadeTarget.USER, user_id))
        else:
            try:
                users.erase(user_id)
                replay.erased += 1
            except Conflict:
                replay.owners += (user_id,)
        yield replay


def _erased_since(since: datetime, now: datetime) -> Iterator[str]:
    day = since.date()
    while day <= now.date():
        first = max(since, datetime.combine(day, time(), since.tzinfo))
        end = datetime.combine(day, time.max, since.tzinfo)
        entries = LedgerEntry.entities_between(
            Event.USER_DELETED, clock.format_timestamp(first), clock.format_timestamp(end)
        )
        yield from (user_id for _, user_id in entries)
        day += timedelta(days=1)
