"""What every schema shares."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
)

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T09:30:00.000000Z"])]
Id = Annotated[str, Field(examples=["4wqf9t0bz3m7kx2e"])]
Price = Annotated[str, Field(pattern=r"^\d{1,8}\.\d{2}$", examples=["49.90"])]
"""Money as it goes out: a string with two decimals."""

MAX_INTEGER = 2_147_483_647
MAX_PRICE = Decimal("99999999.99")

_PRICE = r"^\d{1,8}(\.\d{1,2})?$"
_DAY = r"^\d{4}-\d{2}-\d{2}$"


def _no_text(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("Input should be a valid integer")
    return value


def _plain_price(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(_PRICE, value, re.ASCII)):
        raise ValueError('Input should be an amount with at most two decimals, such as "49.90"')
    return value


def _calendar_day(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_DAY, value, re.ASCII):
        raise ValueError("Input should be a date of the form YYYY-MM-DD")
    return value


# What pydantic takes for a number, flag or date by itself is more than what the OpenAPI document says.
Integer = Annotated[int, BeforeValidator(_no_text)]
Flag = StrictBool
PriceIn = Annotated[
    Decimal,
    BeforeValidator(_plain_price),
    Field(ge=0, le=MAX_PRICE, max_digits=10, decimal_places=2),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _PRICE},
                {"type": "number", "minimum": 0, "maximum": float(MAX_PRICE), "multipleOf": 0.01},
            ],
            "examples": ["49.90"],
        }
    ),
]
Day = Annotated[date, BeforeValidator(_calendar_day), WithJsonSchema({"type": "string", "format": "date"})]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=200),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*\S[\s\S]{1,198}\S\s*$",
            "description": "3 to 200 characters after trimming.",
            "examples": ["Linear algebra"],
        }
    ),
]


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
