"""The audit log."""

from typing import Any

from pydantic import ConfigDict, Field

from chalicelib.core.audit import Action, Via
from chalicelib.models.audit import AuditEntry
from chalicelib.schemas.base import Id, IsoDate, PageQuery, PageRead, Schema, Timestamp


class AuditEntryRead(Schema):
    """One act."""

    id: Id
    at: Timestamp
    actor: str = Field(description="The ID of the user who did it, or `operator`.", examples=["4wqf9t0bz3m7kx2e"])
    actor_role: str | None = Field(description="The user's role at that time; null for an operator.")
    via: str = Field(description="By what means.", examples=[*Via])
    action: str = Field(description="What was done.", examples=[*Action])
    subject_kind: str = Field(examples=["user", "course", "lesson", "enrollment", "keys", "queue"])
    subject: str = Field(description="The ID of what it was done to.", examples=["4wqf9t0bz3m7kx2e"])
    changes: dict[str, Any] = Field(
        description="The changed fields: the old and the new value, or `true` for texts, which may be personal data.",
        examples=[{"role": ["student", "instructor"]}, {"email": True}],
    )
    request_id: str = Field(description="All log lines of the request or command have it.")

    @classmethod
    def from_model(cls, entry: AuditEntry) -> "AuditEntryRead":
        """Return the public fields of an entry."""
        return cls.model_validate({name: getattr(entry, name) for name in cls.model_fields})


class AuditList(PageRead):
    """A page of the audit log."""

    results: list[AuditEntryRead]


class AuditQuery(PageQuery):
    """The filters of the audit log. All that are given apply."""

    model_config = ConfigDict(defer_build=True, extra="ignore", validate_by_name=True)

    actor: str | None = Field(None, max_length=100, description="Acts of this user ID, or of `operator`.")
    subject: str | None = Field(
        None,
        max_length=100,
        description="Acts on this ID and on its dependents: on a user and their enrollments, or a course and its "
        "lessons.",
    )
    action: Action | None = Field(None, description="Acts of this kind.")
    from_: IsoDate | None = Field(None, alias="from", description="The first day (UTC).")
    to: IsoDate | None = Field(None, description="The last day (UTC).")
