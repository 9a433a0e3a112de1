"""/docs: Swagger UI, served from the API's own origin; the package of Powertools contains its assets."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from chalice.app import Response

from chalicelib.core.errors import NotFound
from chalicelib.web.endpoint import ApiRequest
from chalicelib.web.request_context import base_path
from chalicelib.web.responses import html_response
from chalicelib.web.routing import ApiBlueprint

DOCS_PATH = "/api/docs"
_JAVASCRIPT = "text/javascript; charset=utf-8"
ASSETS = {
    "swagger-ui.css": ("swagger-ui.min.css", "text/css; charset=utf-8"),
    "swagger-ui.js": ("swagger-ui-bundle.min.js", _JAVASCRIPT),
}
_CACHE_FOR_A_DAY = {"Cache-Control": "public, max-age=86400"}
_START = """\
const schema = new URL("../schema/", document.currentScript.src);
SwaggerUIBundle({url: schema.href, dom_id: "#swagger-ui"});
"""
_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>EduFlow API</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="{base}/api/docs/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="{base}/api/docs/swagger-ui.js"></script>
    <script src="{base}/api/docs/start.js"></script>
  </body>
</html>
"""

blueprint = ApiBlueprint(__name__)


@blueprint.endpoint("GET", DOCS_PATH, responses={200: None})
def get_docs(request: ApiRequest[None, None]) -> Response:
    """Get the Swagger UI page."""
    return html_response(_PAGE.format(base=base_path(request.request)))


@blueprint.endpoint("GET", f"{DOCS_PATH}/{{asset}}", responses={200: None}, error_statuses={404})
def get_docs_asset(request: ApiRequest[None, None], asset: str) -> Response:
    """Get an asset of Swagger UI."""
    if asset == "start.js":
        return Response(_START, headers={"Content-Type": _JAVASCRIPT, **_CACHE_FOR_A_DAY})
    if asset not in ASSETS:
        raise NotFound("Asset not found.")
    file, content_type = ASSETS[asset]
    return Response(_read(file), headers={"Content-Type": content_type, **_CACHE_FOR_A_DAY})


@cache
def _read(file: str) -> str:
    package = find_spec("aws_lambda_powertools")
    if package is None or package.origin is None:
        raise RuntimeError("aws-lambda-powertools is not installed")
    folder = Path(package.origin).parent / "event_handler" / "openapi" / "swagger_ui"
    return (folder / file).read_text(encoding="utf-8")
