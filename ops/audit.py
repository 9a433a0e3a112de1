"""The command `manage.py audit`: who did what to whom."""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ops import arguments
from ops.commands import CommandError

if TYPE_CHECKING:
    from chalicelib.services.audit_listing import AuditFilter

_PAGE_SIZE = 100
_IDS = {
    "actor": "user ID, or operator",
    "subject": "ID of a user or course, and on its dependents; or on the ID of a lesson or enrollment",
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the filters of the command."""
    for role, acts in (("actor", "acts of"), ("subject", "acts on")):
        given = command.add_mutually_exclusive_group()
        given.add_argument(f"--{role}", metavar="ID", help=f"{acts} this {_IDS[role]}")
        given.add_argument(f"--{role}-name", metavar="NAME", help=f"{acts} the user of this username or email address")
    command.add_argument("--action", metavar="ACTION", help="acts of this kind, such as user.role_changed")
    command.add_argument(
        "--since",
        type=arguments.parse_duration,
        default="30d",
        metavar="AGE",
        help="by days (UTC), such as 2d (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Print the entries of the audit log that match the filters."""
    from chalicelib.core.audit import Action
    from chalicelib.services.audit_listing import AuditFilter

    if options.action not in (None, *Action):
        raise CommandError(f"There is no action {options.action}. Actions: {', '.join(Action)}.")
    filters = AuditFilter(
        actor=_find(options.actor_name) if options.actor_name else options.actor,
        subject=_find(options.subject_name) if options.subject_name else options.subject,
        action=Action(options.action) if options.action else None,
        first=(datetime.now(UTC) - options.since).date(),
    )
    line = None
    for line in _lines(filters):
        print(json.dumps(line))
    if line is None:
        print("There are no such entries.", file=sys.stderr)


def _find(name: str) -> str:
    """Return the ID of the user with a name. It has options of its own: a name can look like another user's ID."""
    from chalicelib.models.identities import Identity

    user_id = Identity.find_user_id(name)
    if user_id is None:
        raise CommandError(f"There is no user {name}. Entries of an erased user are found by ID.")
    return user_id


def _lines(filters: "AuditFilter") -> Iterator[dict[str, Any]]:
    from chalicelib.core.pagination import PageRequest
    from chalicelib.schemas.audit import AuditEntryRead
    from chalicelib.services import audit_listing

    request = PageRequest(_PAGE_SIZE)
    while True:
        page = audit_listing.find(request, filters)
        for entry in page.items:
            yield AuditEntryRead.from_model(entry).model_dump()
        if page.next_cursor is None:
            return
        request = PageRequest(_PAGE_SIZE, page.next_cursor)
