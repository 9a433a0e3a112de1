"""Courses."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import ConfigDict, Field, StrictBool

from chalicelib.core.errors import InvalidInput
from chalicelib.models.courses import Course
from chalicelib.schemas.base import Id, PageQuery, PageRead, Patch, Price, PriceInput, Schema, Timestamp, Title

Ordering = Literal["created_at", "-created_at", "price", "-price"]


class CoursePatch(Patch):
    """Changed fields of a course."""

    title: Title = ""
    description: str = Field("", max_length=10_000)
    price: PriceInput = Decimal("0.00")
    is_published: StrictBool = False

    def provided_fields(self) -> dict[str, Any]:
        """Return the fields that the body contains, with the price in cents."""
        return _with_cents(super().provided_fields())


class CourseWrite(CoursePatch):
    """A whole course. Omitted fields have their defaults."""

    model_config = ConfigDict(json_schema_extra=None)

    title: Title

    def provided_fields(self) -> dict[str, Any]:
        """Return all fields, with the price in cents."""
        return _with_cents(self.model_dump())


def _with_cents(fields: dict[str, Any]) -> dict[str, Any]:
    if "price" in fields:
        fields["price_cents"] = int(fields.pop("price") * 100)
    return fields


class CourseRead(Schema):
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
    def from_model(cls, course: Course) -> "CourseRead":
        """Return the public fields of a course."""
        cents = int(course.price_cents)
        attributes = {name: getattr(course, name) for name in cls.model_fields if name != "price"}
        return cls(**attributes, price=f"{cents // 100}.{cents % 100:02d}")


class CourseList(PageRead[CourseRead]):
    """A page of courses."""


class PublicCourseQuery(PageQuery):
    """The parameters of the list of published courses."""

    ordering: Ordering = Field("-created_at", description="Only `-created_at` can be combined with `search`.")
    search: str | None = Field(
        None,
        max_length=1000,
        description="Published courses whose title or description contains all of these words. Ignores case and "
        "accents; matches whole words.",
    )

    def validate_combination(self) -> None:
        """Check parameters that exclude each other.

        Raises:
            InvalidInput: They are combined.
        """
        if self.search is not None and self.ordering != "-created_at":
            message = "`ordering` cannot be combined with `search`; results are newest first."
            raise InvalidInput.for_field("ordering", "not_with_search", message)


class CourseQuery(PublicCourseQuery):
    """The parameters of the list of courses."""

    owner: Literal["me"] | None = Field(None, description="`me`: the caller's own courses, including drafts.")

    def validate_combination(self) -> None:
        """Check parameters that exclude each other.

        Raises:
            InvalidInput: They are combined.
        """
        super().validate_combination()
        if self.search is not None and self.owner is not None:
            message = "`owner` cannot be combined with `search`, which covers all published courses."
            raise InvalidInput.for_field("owner", "not_with_search", message)
