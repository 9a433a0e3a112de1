"""Lessons."""

from operator import not_
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from chalicelib.models.lessons import Lesson
from chalicelib.schemas.base import MAX_INTEGER, Id, Integer, PageQuery, PageRead, Patch, Schema, Title

CourseId = Annotated[str, Field(max_length=100, examples=["4wqf9t0bz3m7kx2e"])]


def _remove_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class LessonPatch(Patch):
    """Changed fields of a lesson. The course can be given, but not changed."""

    course: CourseId = Field("", json_schema_extra=_remove_default)
    title: Title = ""
    content: str = Field("", max_length=50_000)
    duration_min: Integer = Field(5, ge=1, le=MAX_INTEGER)
    order_index: Integer = Field(1, ge=0, le=MAX_INTEGER)


class LessonReplace(LessonPatch):
    """A whole lesson. Omitted fields have their defaults, except for the course."""

    model_config = ConfigDict(json_schema_extra=None)

    title: Title

    def provided_fields(self) -> dict[str, Any]:
        """Return all fields, and the course only if the body contains it."""
        return self.model_dump(exclude={"course"} - self.model_fields_set)


class LessonCreate(LessonReplace):
    """A new lesson of a course."""

    course: CourseId

    def provided_fields(self) -> dict[str, Any]:
        """Return all fields except for the course."""
        return self.model_dump(exclude={"course"})


class LessonRead(Schema):
    """A lesson. Its content is for the callers whom `lessons_for` of the course names, its owner and admins."""

    id: Id
    course: Id
    title: str
    content: str = Field("", json_schema_extra=_remove_default, description="A locked lesson is without it.")
    duration_min: int
    order_index: int
    locked: bool = Field(
        False, exclude_if=not_, description="Whether the caller may not read the content. Only present if true."
    )

    @classmethod
    def from_model(cls, lesson: Lesson) -> "LessonRead":
        """Return the public fields of a lesson."""
        return cls(**{name: getattr(lesson, name) for name in cls.model_fields if name != "locked"})


class LessonList(PageRead):
    """A page of lessons."""

    results: list[LessonRead]


class LessonQuery(PageQuery):
    """The parameters of the list of lessons."""

    course: str | None = Field(None, max_length=100, description="Only the lessons of this course.")
