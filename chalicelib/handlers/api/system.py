"""/health and /schema."""

import json
from functools import cache
from typing import Any

from chalice.app import Response

from chalicelib.core.config import settings
from chalicelib.core.resources import OPENAPI_FILE
from chalicelib.schemas.system import HealthRead
from chalicelib.web.endpoint import ApiRequest
from chalicelib.web.request_context import base_url
from chalicelib.web.responses import json_response
from chalicelib.web.routing import ApiBlueprint

blueprint = ApiBlueprint(__name__)


@blueprint.endpoint("GET", "/api/health", responses={200: HealthRead})
def get_health(request: ApiRequest[None, None]) -> Response:
    """Liveness check.

    It does not query the database.
    """
    return json_response(HealthRead(stage=settings().stage))


@blueprint.endpoint("GET", "/api/schema", responses={200: None})
def get_schema(request: ApiRequest[None, None]) -> Response:
    """Get this OpenAPI 3.1 document."""
    document = _document() | {"servers": [{"url": base_url(request.request)}]}
    return Response(json.dumps(document), headers={"Content-Type": "application/json"})


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(OPENAPI_FILE.read_text(encoding="utf-8"))
    return document
