"""What every schema shares."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T09:30:00.000000Z"])]
Id = Annotated[str, Field(examples=["4wqf9t0bz3m7kx2e"])]
Price = Annotated[str, Field(pattern=r"^\d{1,8}\.\d{2}$", examples=["49.90"])]
"""Money as it goes out: a string with two decimals."""

MAX_INTEGER = 2_147_483_647


class Schema(BaseModel):
    """A body or query: unknown fields are ignored; built on first use, not on import."""

    model_config = ConfigDict(defer_build=True, extra="ignore")


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Changes(Schema):
    """A body that changes what it names, and leaves the rest alone: its defaults are never used, nor shown."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    def changes(self) -> dict[str, Any]:
        """The fields that the body names, by the names of the model's attributes."""
        return self.model_dump(exclude_unset=True)


Item = TypeVar("Item")


class ListOut(Schema, Generic[Item]):
    """A page of a list. Only a `next` of null is its end."""

    next: str | None = Field(description="URL of the next page, or null on the last one.")
    previous: str | None = Field(description="URL of the page before, or null on the first one.")
    results: list[Item]


class PageQuery(Schema):
    """The parameters of every list."""

    limit: int = Field(20, ge=1, le=100, description="How many at most.")
    cursor: str | None = Field(None, max_length=2000, description="From `next` or `previous`; opaque.")
