"""Places of courses, and waitlists."""

from typing import Self

from pydantic import Field

from chalicelib.models.place_counters import Places
from chalicelib.models.waitlist import WaitlistEntry
from chalicelib.schemas.base import Id, PageQuery, PageRead, Schema, Timestamp


class PlacesRead(Schema):
    """The places of a course. All are null if it has no capacity."""

    capacity: int | None = Field(description="How many students can be enrolled at the same time.")
    taken: int | None = Field(
        description="How many places are taken, also by requests in progress, and by students who wait for a place "
        "that is free and are about to get it."
    )
    left: int | None = Field(description="How many places are left for other students.")
    waiting: int | None = Field(description="How many students wait for a place.")

    @classmethod
    def from_model(cls, places: Places) -> Self:
        """Return the fields of a course's places."""
        return cls(**{name: getattr(places, name) for name in cls.model_fields})


class WaitlistEntryRead(Schema):
    """A student who waits for a place in a course."""

    id: Id = Field(description="The enrollment will have the same ID.")
    course: Id
    student: Id
    position: int = Field(
        ge=1,
        description="How many places have to become free until the student gets one. An estimate beyond the first "
        "1,000 numbers of the waitlist.",
    )
    joined_at: Timestamp

    @classmethod
    def from_model(cls, entry: WaitlistEntry) -> Self:
        """Return the public fields of a waiting entry."""
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


class WaitlistRead(PageRead):
    """A page of waiting entries."""

    results: list[WaitlistEntryRead]


class WaitlistQuery(PageQuery):
    """The parameters of the list of waiting entries."""

    course: str | None = Field(
        None, max_length=100, description="Only the entries of this course. Required except for students."
    )
