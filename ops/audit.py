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


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the filters of the command."""
    command.add_argument(
        "--actor", metavar="NAME", help="acts of this user: a username, email address or ID; or operator"
    )
    command.add_argument(
        "--subject", metavar="NAME", help="acts on this user, or on this ID of a course, lesson or enrollment"
    )
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
    from chalicelib.core.audit import OPERATOR, Action
    from chalicelib.services.audit_listing import AuditFilter

    if options.action not in (None, *Action):
        raise CommandError(f"There is no action {options.action}. Actions: {', '.join(Action)}.")
    filters = AuditFilter(
        actor=options.actor if options.actor == OPERATOR.id else _resolve(options.actor),
        subject=_resolve(options.subject),
        action=options.action,
        first=(datetime.now(UTC) - options.since).date(),
    )
    line = None
    for line in _lines(filters):
        print(json.dumps(line))
    if line is None:
        print("There are no such entries.", file=sys.stderr)


def _resolve(name: str | None) -> str | None:
    """Return the ID of a user's name. An unknown one is an ID itself, perhaps of an erased user."""
    from chalicelib.models.identities import Identity

    return name and (Identity.find_user_id(name) or name)


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
