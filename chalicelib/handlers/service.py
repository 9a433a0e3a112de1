"""/health and /schema: the service about itself."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from chalice.app import Response

from chalicelib.handlers.endpoints import Call, Endpoints, base_url, json_answer
from chalicelib.schemas.service import HealthOut
from chalicelib.settings import settings

OPENAPI_FILE = Path(__file__).parents[1] / "openapi.json"

blueprint = Endpoints(__name__)


@blueprint.endpoint("GET", "/api/health", answers={200: HealthOut})
def health(call: Call[None, None]) -> Response:
    """Whether the API answers; it asks nothing of the database, so that an outage there is not two."""
    return json_answer(HealthOut(stage=settings().stage))


@blueprint.endpoint("GET", "/api/schema", answers={200: None})
def schema(call: Call[None, None]) -> Response:
    """This document: OpenAPI 3.1."""
    document = _document() | {"servers": [{"url": base_url(call.request)}]}
    return Response(json.dumps(document), headers={"Content-Type": "application/json"})


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(OPENAPI_FILE.read_text(encoding="utf-8"))
    return document
