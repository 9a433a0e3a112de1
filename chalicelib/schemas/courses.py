"""Courses."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chalicelib.models.courses import Course
from chalicelib.schemas.base import Id, ListOut, PageQuery, Price, Schema, Timestamp

MAX_PRICE = Decimal("99999999.99")


class CourseIn(Schema):
    """A course as it is written."""

    title: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=3, max_length=200), Field(examples=["Linear algebra"])
    ]
    description: str = Field("", max_length=10_000)
    price: Annotated[Decimal, Field(ge=0, le=MAX_PRICE, max_digits=10, decimal_places=2, examples=["49.90"])] = Decimal(
        0
    )
    is_published: bool = False


class CourseOut(Schema):
    """A course."""

    id: Id
    title: str
    description: str
    price: Price
    is_published: bool
    owner: str = Field(description="The owner's username.")
    owner_id: Id
    created_at: Timestamp
    updated_at: Timestamp
    lessons_count: int

    @classmethod
    def of(cls, course: Course) -> "CourseOut":
        """What the API shows of a course."""
        cents = int(course.price_cents)
        return cls(
            id=course.id,
            title=course.title,
            description=course.description,
            price=f"{cents // 100}.{cents % 100:02d}",
            is_published=course.is_published,
            owner=course.owner,
            owner_id=course.owner_id,
            created_at=course.created_at,
            updated_at=course.updated_at,
            lessons_count=int(course.lessons_count),
        )


class CourseList(ListOut[CourseOut]):
    """A page of courses."""


class CourseQuery(PageQuery):
    """The parameters of the list of courses."""

    ordering: Literal["created_at", "-created_at", "price", "-price"] = "-created_at"
    owner: Literal["me"] | None = Field(None, description="`me`: the caller's own ones, drafts included.")
