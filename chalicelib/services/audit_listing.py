"""Reading the audit log."""

from datetime import date
from typing import NamedTuple

from chalicelib.core.audit import Action
from chalicelib.core.caller import Caller
from chalicelib.core.pagination import Cursor, Page, PageRequest, paginate
from chalicelib.models.audit import AuditEntry, root_of
from chalicelib.services import users

# A page is made of at most MAX_READS × READ_SIZE entries: if few of these match, it has fewer results and a next page.
READ_SIZE = 200
MAX_READS = 5
_OLDEST, _NEWEST = "0", "~"  # before and after all sort keys, which begin with a timestamp


class AuditFilter(NamedTuple):
    """Which entries are listed. ``subject`` includes its dependents, and both days are included."""

    actor: str | None = None
    subject: str | None = None
    action: Action | None = None
    first: date | None = None
    last: date | None = None

    def matches(self, entry: AuditEntry) -> bool:
        """Return whether an entry is of the actor, subject and action."""
        return (
            self.actor in (None, entry.actor)
            and self.action in (None, entry.action)
            and (self.subject is None or str(entry.subject).startswith(self.subject))
        )

    @property
    def is_selective(self) -> bool:
        """Whether entries are read that do not match: one key selects them, and there is more than one condition."""
        is_dependent = self.subject is not None and self.subject != root_of(self.subject)
        return self.action is not None or is_dependent or None not in (self.actor, self.subject)

    def read(self, after: str | None, backward: bool, limit: int) -> list[AuditEntry]:
        """Return up to ``limit`` entries of which the matching ones are to be listed."""
        if "" in (self.actor, self.subject):  # no key of the table is empty
            return []
        return AuditEntry.page(
            actor=self.actor,
            root=None if self.subject is None else root_of(self.subject),
            first=self.first.isoformat() if self.first else _OLDEST,
            end=f"{self.last}{_NEWEST}" if self.last else _NEWEST,
            after=after,
            backward=backward,
            limit=limit,
        )


def list_entries(caller: Caller, request: PageRequest, filters: AuditFilter) -> Page[AuditEntry]:
    """Return a page of the audit log, newest first.

    Raises:
        Forbidden: The caller is not an admin.
        NotAuthenticated: The caller's session was revoked.
    """
    users.require_active_admin(caller)
    return find(request, filters)


def find(request: PageRequest, filters: AuditFilter) -> Page[AuditEntry]:
    """Return a page of the audit log, without a check of the caller."""
    stopped_at = None

    def fetch(after: str | None, backward: bool, limit: int) -> list[AuditEntry]:
        nonlocal stopped_at
        found: list[AuditEntry] = []
        size = max(limit, READ_SIZE) if filters.is_selective else limit
        for _ in range(MAX_READS):
            rows = filters.read(after, backward, size)
            found += filter(filters.matches, rows)
            if len(found) >= limit or len(rows) < size:
                return found[:limit]
            after = rows[-1].sort_key
        stopped_at = after
        return found

    page = paginate(request, fetch)
    if stopped_at is None:
        return page
    onward = Cursor(stopped_at, request.is_backward)
    if not page.items and request.cursor:  # nothing matched between the cursor and this row: turn around here
        back = Cursor(stopped_at, not request.is_backward)
        return Page([], back, onward) if request.is_backward else Page([], onward, back)
    return page._replace(previous_cursor=onward) if request.is_backward else page._replace(next_cursor=onward)
