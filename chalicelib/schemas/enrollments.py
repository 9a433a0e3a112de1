"""Enrollments."""

from typing import Self

from pydantic import Field, StrictBool

from chalicelib.models.enrollments import Enrollment
from chalicelib.schemas.base import Id, PageQuery, PageRead, Schema, Timestamp


class EnrollmentCreate(Schema):
    """The course to enroll in. The student is always the caller."""

    course: str = Field(max_length=100, examples=["4wqf9t0bz3m7kx2e"])
    wait: StrictBool = Field(False, description="Whether to join the waitlist if the course is full.")


class EnrollmentRead(Schema):
    """The enrollment of a student in a course."""

    id: Id
    student: Id
    course: Id
    created_at: Timestamp

    @classmethod
    def from_model(cls, enrollment: Enrollment) -> Self:
        """Return the public fields of an enrollment."""
        return cls(**{name: getattr(enrollment, name) for name in cls.model_fields})


class EnrollmentList(PageRead):
    """A page of enrollments."""

    results: list[EnrollmentRead]


class EnrollmentQuery(PageQuery):
    """The parameters of the list of enrollments."""

    course: str | None = Field(None, max_length=100, description="Only the enrollments in this course.")
    student: str | None = Field(None, max_length=100, description="Only the enrollments of this student.")
