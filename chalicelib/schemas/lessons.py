"""Lessons."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from chalicelib.models.lessons import Lesson
from chalicelib.schemas.base import MAX_INTEGER, Changes, Id, Integer, ListOut, PageQuery, Schema, Title

CourseId = Annotated[str, Field(max_length=100, examples=["4wqf9t0bz3m7kx2e"])]


def _no_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class LessonChanges(Changes):
    """A lesson, as far as it is changed. Its course can be named, but not changed."""

    course: CourseId = Field("", json_schema_extra=_no_default)
    title: Title = ""
    content: str = Field("", max_length=50_000)
    duration_min: Integer = Field(5, ge=1, le=MAX_INTEGER)
    order_index: Integer = Field(1, ge=0, le=MAX_INTEGER)


class LessonReplacement(LessonChanges):
    """A lesson as it is written anew: what is left out has its default, but for its course."""

    model_config = ConfigDict(json_schema_extra=None)

    title: Title

    def changes(self) -> dict[str, Any]:
        """All fields; the course only if it is named."""
        return self.model_dump(exclude={"course"} - self.model_fields_set)


class LessonIn(LessonReplacement):
    """A new lesson of a course."""

    course: CourseId

    def changes(self) -> dict[str, Any]:
        """All fields but the course."""
        return self.model_dump(exclude={"course"})


class LessonOut(Schema):
    """A lesson."""

    id: Id
    course: Id
    title: str
    content: str
    duration_min: int
    order_index: int

    @classmethod
    def of(cls, lesson: Lesson) -> "LessonOut":
        """What the API shows of a lesson."""
        return cls(
            id=lesson.id,
            course=lesson.course,
            title=lesson.title,
            content=lesson.content,
            duration_min=int(lesson.duration_min),
            order_index=int(lesson.order_index),
        )


class LessonList(ListOut[LessonOut]):
    """A page of lessons."""


class LessonQuery(PageQuery):
    """The parameters of the list of lessons."""

    course: str | None = Field(None, max_length=100, description="Only the lessons of this course.")
