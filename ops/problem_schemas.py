"""Problem details for the OpenAPI document; `chalicelib.web.problems` creates them."""

from pydantic import Field

from chalicelib.schemas.base import Schema, Timestamp


class FieldProblem(Schema):
    """The error of one field."""

    field: str
    code: str
    message: str


class Problem(Schema):
    """An error (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str
    status: int
    detail: str
    instance: str
    timestamp: Timestamp | None = None
    request_id: str
    errors: list[FieldProblem] | None = None
