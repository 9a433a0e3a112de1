"""/account: the page of links in emails, for schools whose app has none. Its script calls the routes of /auth.

A link has its token in the fragment of the URL, which no browser sends: not to this API, and in no Referer header.
"""

import hashlib
import re
from functools import cache
from string import Template

from chalice.app import Response

from chalicelib.core.errors import NotFound
from chalicelib.core.resources import page_file
from chalicelib.security.passwords import MIN_LENGTH
from chalicelib.web.endpoint import ApiRequest
from chalicelib.web.request_context import base_path
from chalicelib.web.responses import html_response
from chalicelib.web.routing import ApiBlueprint

ACCOUNT_PATH = "/api/account"
ASSETS = {"pages.css": "text/css; charset=utf-8", "account.js": "text/javascript; charset=utf-8"}
_CACHE_FOR_A_YEAR = {"Cache-Control": "public, max-age=31536000, immutable"}
_CACHE_NEVER = {"Cache-Control": "no-cache"}
_VERSIONED_NAME = re.compile(r"(\w+)\.([0-9a-f]{16})\.(\w+)")

blueprint = ApiBlueprint(__name__)


@blueprint.endpoint("GET", ACCOUNT_PATH, responses={200: None})
def get_account_page(request: ApiRequest[None, None]) -> Response:
    """Get the page that resets passwords and confirms email addresses."""
    base = base_path(request.request)
    page = Template(page_file("account.html")).substitute(
        style=base + asset_path("pages.css"), script=base + asset_path("account.js"), min_length=MIN_LENGTH
    )
    return html_response(page)


@blueprint.endpoint("GET", f"{ACCOUNT_PATH}/{{asset}}", responses={200: None}, error_statuses={404})
def get_account_page_asset(request: ApiRequest[None, None], asset: str) -> Response:
    """Get an asset of the account page."""
    match = _VERSIONED_NAME.fullmatch(asset)
    name, version = (f"{match[1]}.{match[3]}", match[2]) if match else (asset, "")
    if name not in ASSETS:
        raise NotFound("Asset not found.")
    # During a deploy, pages and assets come from both versions of the function. Another version than the requested one
    # is better than none, but must not be cached under its name.
    caching = _CACHE_FOR_A_YEAR if version == _version(name) else _CACHE_NEVER
    return Response(page_file(name), headers={"Content-Type": ASSETS[name], **caching})


def asset_path(name: str) -> str:
    """Return the path of an asset, without the stage. A changed file has another path, so caches cannot mix versions.

    The version is not in the query, because API Gateway's cache and many CDNs ignore it.
    """
    stem, suffix = name.split(".")
    return f"{ACCOUNT_PATH}/{stem}.{_version(name)}.{suffix}"


@cache
def _version(name: str) -> str:
    return hashlib.sha256(page_file(name).encode()).hexdigest()[:16]
