"""Entries of the audit log, for the transactions of the acts that they record."""

from collections.abc import Mapping
from typing import Any

from chalicelib.core.audit import Action, Actor
from chalicelib.core.caller import Caller
from chalicelib.models.audit import AuditEntry
from chalicelib.models.base import Transaction
from chalicelib.models.courses import Course
from chalicelib.models.users import User
from chalicelib.observability import logs

# All other values are texts, which may be personal data: an entry says only that they changed.
_SHOWN = {
    "role",
    "is_active",
    "is_published",
    "price_cents",
    "duration_min",
    "order_index",
    "capacity",
    "waitlist",
    "opens_at",
    "closes_at",
    "lessons_for",
}
_USER_ACTIONS = {"role": Action.USER_ROLE_CHANGED, "email": Action.USER_EMAIL_CHANGED}


def entry(actor: Actor, action: Action, subject: str, changes: Mapping[str, Any] | None = None) -> AuditEntry:
    """Return the entry of an act of the current request or command, not yet saved."""
    return AuditEntry.new(actor, action, subject, changes or {}, logs.request_id.get())


def save(entry_of_act: AuditEntry) -> None:
    """Save the entry of an act that DynamoDB has no part in."""
    transaction = Transaction()
    entry_of_act.add_to(transaction)
    transaction.run()


def user_entries(actor: Actor, user: User, fields: Mapping[str, Any]) -> list[AuditEntry]:
    """Return the entries of a change of a user's email, role and is_active."""
    actions = _USER_ACTIONS | {
        "is_active": Action.USER_REACTIVATED if fields.get("is_active") else Action.USER_DEACTIVATED
    }
    return [
        entry(actor, action, user.id, describe_changes(user, {name: fields[name]}))
        for name, action in actions.items()
        if name in fields and getattr(user, name) != fields[name]
    ]


def course_entries(caller: Caller, course: Course, fields: Mapping[str, Any]) -> list[AuditEntry]:
    """Return the entries of a change of a course: of the caller's own, only that of its capacity.

    The capacity decides who gets access.
    """
    changes = describe_changes(course, fields)
    publication = changes.pop("is_published", None)
    places: dict[str, Any] = {name: changes.pop(name) for name in ("capacity", "waitlist") if name in changes}
    entries = on_course(caller, course, Action.COURSE_CHANGED, course.id, changes) if changes else []
    if publication:
        action = Action.COURSE_PUBLISHED if fields["is_published"] else Action.COURSE_UNPUBLISHED
        entries += on_course(caller, course, action, course.id, {"is_published": publication})
    if places:
        entries.append(entry(Actor.of(caller), Action.CAPACITY_CHANGED, course.id, places))
    return entries


def on_course(
    caller: Caller, course: Course, action: Action, subject: str, changes: Mapping[str, Any] | None = None
) -> list[AuditEntry]:
    """Return the entry of an act on a course or one of its lessons: none if the course is the caller's own."""
    return [] if course.owner_id == caller.id else [entry(Actor.of(caller), action, subject, changes)]


def describe_changes(old: object, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return which fields change: the old and the new value, or true for a text."""
    changed = {name: value for name, value in fields.items() if getattr(old, name) != value}
    return {name: [getattr(old, name), value] if name in _SHOWN else True for name, value in changed.items()}
