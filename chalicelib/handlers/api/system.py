"""/health and /schema: the service about itself."""

import json
from functools import cache
from typing import Any

from chalice.app import Response

from chalicelib.core.config import settings
from chalicelib.core.resources import OPENAPI_FILE
from chalicelib.schemas.system import HealthOut
from chalicelib.web.routing import Call, Endpoints, base_url, json_answer

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
