"""Enrollments."""

from pydantic import Field

from chalicelib.models.enrollments import Enrollment
from chalicelib.schemas.base import Id, ListOut, PageQuery, Schema, Timestamp


class EnrollmentIn(Schema):
    """The course to enroll in; the student is always the caller."""

    course: str = Field(max_length=100, examples=["4wqf9t0bz3m7kx2e"])


class EnrollmentOut(Schema):
    """A student in a course."""

    id: Id
    student: Id
    course: Id
    created_at: Timestamp

    @classmethod
    def of(cls, enrollment: Enrollment) -> "EnrollmentOut":
        """What the API shows of an enrollment."""
        return cls(
            id=enrollment.id,
            student=enrollment.student,
            course=enrollment.course,
            created_at=enrollment.created_at,
        )


class EnrollmentList(ListOut[EnrollmentOut]):
    """A page of enrollments."""


class EnrollmentQuery(PageQuery):
    """The parameters of the list of enrollments."""

    course: str | None = Field(None, max_length=100, description="Only those in this course.")
    student: str | None = Field(None, max_length=100, description="Only those of this student.")
