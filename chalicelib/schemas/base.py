"""Types and base classes of all schemas."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from chalicelib.core import clock

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T09:30:00.000000Z"])]
Id = Annotated[str, Field(examples=["4wqf9t0bz3m7kx2e"])]
Price = Annotated[str, Field(pattern=r"^\d{1,8}\.\d{2}$", examples=["49.90"])]  # in responses

MAX_INTEGER = 2_147_483_647
MAX_PRICE = Decimal("99999999.99")

# Unicode's control characters (Cc), and bidirectional overrides and isolates, which disguise text
# (https://www.unicode.org/reports/tr9/).
_CONTROLS = r"\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069"
_PRICE_PATTERN = r"^\d{1,8}(\.\d{1,2})?$"
_DATE_PATTERN = r"^\d{4}-\d{2}-\d{2}$"
# RFC 3339 §5.6, with the years in which each offset has a UTC time of four digits.
_TIMESTAMP_PATTERN = (
    r"^[2-8]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)


def reject_strings(value: object) -> object:
    """Return the value of an integer.

    Raises:
        ValueError: It is a string or a boolean, which pydantic would convert.
    """
    if isinstance(value, str | bool):
        raise ValueError("Input should be a valid integer")
    return value


def _reject_controls(text: str) -> str:
    if re.search(f"[{_CONTROLS}]", text):
        raise ValueError("Input should have no control characters")
    return text


def _check_price(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(_PRICE_PATTERN, value, re.ASCII)):
        raise ValueError('Input should be an amount with at most two decimals, such as "49.90"')
    return value


def _check_date(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_DATE_PATTERN, value, re.ASCII):
        raise ValueError("Input should be a date of the form YYYY-MM-DD")
    return value


def _normalize_timestamp(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_TIMESTAMP_PATTERN, value, re.ASCII):
        raise ValueError('Input should be a time with its UTC offset, such as "2026-11-22T09:30:00Z"')
    return clock.format_timestamp(datetime.fromisoformat(value.upper()))


# By itself, pydantic accepts more as a number or date than the OpenAPI document declares.
Integer = Annotated[int, BeforeValidator(reject_strings)]
PriceInput = Annotated[
    Decimal,
    BeforeValidator(_check_price),
    Field(ge=0, le=MAX_PRICE, max_digits=10, decimal_places=2),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _PRICE_PATTERN},
                {"type": "number", "minimum": 0, "maximum": float(MAX_PRICE), "multipleOf": 0.01},
            ],
            "examples": ["49.90"],
        }
    ),
]
IsoDate = Annotated[date, BeforeValidator(_check_date), WithJsonSchema({"type": "string", "format": "date"})]
TimestampInput = Annotated[
    str,
    BeforeValidator(_normalize_timestamp),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": _TIMESTAMP_PATTERN,
            "examples": ["2026-11-22T09:30:00Z"],
        }
    ),
]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=200),
    AfterValidator(_reject_controls),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\s*[^\s{_CONTROLS}][^{_CONTROLS}]{{1,198}}[^\s{_CONTROLS}]\s*$",
            "description": "3 to 200 characters after trimming, none of them a control character.",
            "examples": ["Linear algebra"],
        }
    ),
]


class Schema(BaseModel):
    """Base of all bodies and queries. Unknown fields are ignored. Validators are built on first use."""

    model_config = ConfigDict(defer_build=True, extra="ignore")


def _remove_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Patch(Schema):
    """Base of partial updates. Only the provided fields are changed; the defaults are neither used nor documented."""

    model_config = ConfigDict(json_schema_extra=_remove_defaults)

    def provided_fields(self) -> dict[str, Any]:
        """Return the fields that the body contains, by the names of the model's attributes."""
        return self.model_dump(exclude_unset=True)


class PageRead(Schema):
    """A page of a list, with the type of its results in subclasses. The list ends where `next` is null."""

    next: str | None = Field(description="URL of the next page, or null on the last page.")
    previous: str | None = Field(description="URL of the previous page, or null on the first page.")
    results: list[Any]


class PageQuery(Schema):
    """The parameters of all lists."""

    limit: int = Field(20, ge=1, le=100, description="Maximum number of results.")
    cursor: str | None = Field(None, max_length=2000, description="Opaque cursor from `next` or `previous`.")
