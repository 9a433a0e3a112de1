"""The API itself."""

from typing import Literal

from chalicelib.schemas.base import Schema


class HealthRead(Schema):
    """The result of the liveness check."""

    status: Literal["ok"] = "ok"
    stage: str
