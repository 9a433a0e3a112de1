"""What the audit log records: acts of staff and operators on others, and whatever opens or ends access."""

from enum import StrEnum
from typing import NamedTuple

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role


class Action(StrEnum):
    """What was done, as ``<subject>.<act>``."""

    USER_CREATED = "user.created"
    USER_ROLE_CHANGED = "user.role_changed"
    USER_EMAIL_CHANGED = "user.email_changed"
    USER_DEACTIVATED = "user.deactivated"
    USER_REACTIVATED = "user.reactivated"
    USER_UNLOCKED = "user.unlocked"
    USER_ERASED = "user.erased"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105
    PASSWORD_RESET = "password.reset"  # noqa: S105
    COURSE_PUBLISHED = "course.published"
    COURSE_UNPUBLISHED = "course.unpublished"
    COURSE_CHANGED = "course.changed"
    COURSE_DELETED = "course.deleted"
    CAPACITY_CHANGED = "capacity.changed"
    LESSON_CREATED = "lesson.created"
    LESSON_CHANGED = "lesson.changed"
    LESSON_DELETED = "lesson.deleted"
    WAITLIST_ENTRY_DELETED = "waitlist.entry_deleted"
    ENROLLMENT_ENDED = "enrollment.ended"
    KEYS_ROTATION_STARTED = "keys.rotation_started"
    KEYS_ROTATED = "keys.rotated"
    QUEUE_REDRIVE_STARTED = "queue.redrive_started"
    QUEUE_REDRIVEN = "queue.redriven"

    @property
    def subject_kind(self) -> str:
        """The kind of entity that the act is done to, or of which what it is done to is a part."""
        kind = self.partition(".")[0]
        return {"password": "user", "capacity": "course", "waitlist": "enrollment"}.get(kind, kind)


class Via(StrEnum):
    """By what means an act was done."""

    API = "api"
    OPERATOR = "operator"


class Actor(NamedTuple):
    """Who acts. An operator has no account in the API: AWS authenticates the principal."""

    id: str
    role: Role | None
    via: Via

    @classmethod
    def of(cls, caller: Caller) -> "Actor":
        """Return the user of a request."""
        return cls(caller.id, caller.role, Via.API)


OPERATOR = Actor("operator", None, Via.OPERATOR)
