"""Courses."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import ConfigDict, Field

from chalicelib.core.errors import Invalid
from chalicelib.models.courses import Course
from chalicelib.schemas.base import Changes, Flag, Id, ListOut, PageQuery, Price, PriceIn, Schema, Timestamp, Title

Ordering = Literal["created_at", "-created_at", "price", "-price"]


class CourseChanges(Changes):
    """A course, as far as it is changed."""

    title: Title = ""
    description: str = Field("", max_length=10_000)
    price: PriceIn = Decimal("0.00")
    is_published: Flag = False

    def changes(self) -> dict[str, Any]:
        """The fields that the body names, the price in cents."""
        return _in_cents(super().changes())


class CourseIn(CourseChanges):
    """A course as it is written: what is left out has its default."""

    model_config = ConfigDict(json_schema_extra=None)

    title: Title

    def changes(self) -> dict[str, Any]:
        """All fields, the price in cents."""
        return _in_cents(self.model_dump())


def _in_cents(fields: dict[str, Any]) -> dict[str, Any]:
    if "price" in fields:
        fields["price_cents"] = int(fields.pop("price") * 100)
    return fields


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


class PublicCourseQuery(PageQuery):
    """The parameters of a list of courses."""

    ordering: Ordering = Field("-created_at", description="With `search`, `-created_at` only.")
    search: str | None = Field(
        None,
        max_length=1000,
        description="Published courses with all these words, whole, in title or description; case and accents aside.",
    )

    def check(self) -> None:
        """Raises Invalid for parameters that do not go together."""
        if self.search is not None and self.ordering != "-created_at":
            raise Invalid.field("ordering", "not_with_search", "What is searched for comes newest first.")


class CourseQuery(PublicCourseQuery):
    """The parameters of the list of courses, for who may have own ones."""

    owner: Literal["me"] | None = Field(None, description="`me`: the caller's own ones, drafts included.")

    def check(self) -> None:
        """Raises Invalid for parameters that do not go together."""
        super().check()
        if self.search is not None and self.owner is not None:
            raise Invalid.field("owner", "not_with_search", "A search is in all published courses.")
