"""Courses."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool

from chalicelib.core.audiences import LessonAudience
from chalicelib.core.errors import InvalidInput
from chalicelib.models.courses import Course
from chalicelib.schemas.base import (
    Id,
    Integer,
    PageQuery,
    PageRead,
    Patch,
    Price,
    PriceInput,
    Schema,
    Timestamp,
    TimestampInput,
    Title,
    reject_strings,
)

MAX_PLACES = 100_000  # of a course, and of its waitlist

Capacity = Annotated[int, Field(ge=1, le=MAX_PLACES), BeforeValidator(reject_strings)]
Ordering = Literal["created_at", "-created_at", "price", "-price"]


class CoursePatch(Patch):
    """Changed fields of a course."""

    title: Title = ""
    description: str = Field("", max_length=10_000)
    price: PriceInput = Decimal("0.00")
    is_published: StrictBool = False
    capacity: Capacity | None = Field(
        None, description="How many students can be enrolled at the same time; null for any number."
    )
    waitlist: Integer = Field(0, ge=0, le=MAX_PLACES, description="How many students can wait for a place.")
    opens_at: TimestampInput | None = Field(None, description="When enrollment opens; null for at once.")
    closes_at: TimestampInput | None = Field(None, description="When enrollment closes; null for never.")
    lessons_for: LessonAudience = Field(
        LessonAudience.EVERYONE, description="Who gets the content of the lessons: `everyone`, or the `enrolled`."
    )

    def provided_fields(self) -> dict[str, Any]:
        """Return the fields that the body contains, with the price in cents."""
        return _with_cents(super().provided_fields())


_ENROLLMENT_FIELDS = {"capacity", "waitlist", "opens_at", "closes_at", "lessons_for"}


class CourseWrite(CoursePatch):
    """A whole course. Omitted fields have their defaults; those of enrollment and lessons keep their values."""

    model_config = ConfigDict(json_schema_extra=None)

    title: Title

    def provided_fields(self) -> dict[str, Any]:
        """Return all fields, with the price in cents, but those of enrollment and lessons only if the body has them.

        A client that does not know these must not remove the capacity of a course.
        """
        return _with_cents(self.model_dump(exclude=_ENROLLMENT_FIELDS - self.model_fields_set))


def _with_cents(fields: dict[str, Any]) -> dict[str, Any]:
    if "price" in fields:
        fields["price_cents"] = int(fields.pop("price") * 100)
    return fields


def _is_default(default: object) -> Callable[[object], bool]:
    return lambda value: value == default


class CourseRead(Schema):
    """A course. It is without the fields of enrollment and lessons that have their defaults."""

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
    capacity: int | None = Field(
        None,
        exclude_if=_is_default(None),
        description="How many students can be enrolled at the same time. Without it, any number.",
    )
    waitlist: int = Field(0, exclude_if=_is_default(0), description="How many students can wait for a place.")
    opens_at: Timestamp | None = Field(None, exclude_if=_is_default(None), description="When enrollment opens.")
    closes_at: Timestamp | None = Field(None, exclude_if=_is_default(None), description="When enrollment closes.")
    lessons_for: LessonAudience = Field(
        LessonAudience.EVERYONE,
        exclude_if=_is_default(LessonAudience.EVERYONE),
        description="Who gets the content of the lessons: `everyone`, or the `enrolled`.",
    )

    @classmethod
    def from_model(cls, course: Course) -> "CourseRead":
        """Return the public fields of a course."""
        cents = int(course.price_cents)
        attributes = {name: getattr(course, name) for name in cls.model_fields if name != "price"}
        return cls(**attributes, price=f"{cents // 100}.{cents % 100:02d}")


class CourseList(PageRead):
    """A page of courses."""

    results: list[CourseRead]


class PublicCourseQuery(PageQuery):
    """The parameters of the list of published courses."""

    ordering: Ordering = Field("-created_at", description="Only `-created_at` can be combined with `search`.")
    search: str | None = Field(
        None,
        max_length=1000,
        description="Published courses whose title or description contains all of these words. Ignores case and "
        "accents; matches whole words. A text without a word finds none.",
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
