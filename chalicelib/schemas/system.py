"""The service itself."""

from typing import Literal

from chalicelib.schemas.base import Schema


class HealthOut(Schema):
    """That the API answers."""

    status: Literal["ok"] = "ok"
    stage: str
