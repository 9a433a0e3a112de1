"""Declared endpoints: Chalice blueprints whose routes declare their input, output and access.

Parsing, validation, authentication, error responses and the OpenAPI document follow from one declaration.
"""

import inspect
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from chalice.app import Blueprint, Response
from pydantic import BaseModel

from chalicelib.adapters.cache import read_through
from chalicelib.core.errors import DomainError
from chalicelib.observability.logs import error_log
from chalicelib.security.access import ROUTE_ACCESS, AccessRule, AuthMode
from chalicelib.web import request_context
from chalicelib.web.authentication import authenticate
from chalicelib.web.endpoint import ApiRequest, EndpointSpec, View
from chalicelib.web.idempotency import parse_idempotency_key
from chalicelib.web.requests import parse_body, parse_query
from chalicelib.web.responses import CORS, NO_STORE, error_response, internal_error_response


class UnlistedRouteError(LookupError):
    """A declared endpoint is missing in ROUTE_ACCESS."""


class ApiBlueprint(Blueprint):
    """A blueprint of declared endpoints. ``authorizer`` protects those that require a role."""

    def __init__(self, import_name: str, authorizer: Any = None) -> None:
        super().__init__(import_name)
        self._authorizer = authorizer

    def endpoint(
        self,
        method: str,
        path: str,
        *,
        responses: Mapping[int, type[BaseModel] | None],
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        error_statuses: AbstractSet[int] = frozenset(),
        reports_cache_status: bool = False,
        accepts_idempotency_key: bool = False,
    ) -> Callable[[View], View]:
        """Declare a view with its route, input and responses.

        The view is called with an `ApiRequest` and the path parameters. ROUTE_ACCESS defines who may call it.
        ``error_statuses`` are those that do not follow from the rest of the declaration. With
        ``reports_cache_status``, the header X-Cache reports whether the cache served the response. With
        ``accepts_idempotency_key``, the view returns a `creation_response`.

        Raises:
            UnlistedRouteError: ROUTE_ACCESS does not list the route.
        """
        access = _access_of(method, path)

        def register(view: View) -> View:
            summary, _, description = (inspect.getdoc(view) or "").partition("\n")
            spec = EndpointSpec(
                method=method,
                path=path,
                access=access,
                name=view.__name__,
                summary=summary,
                description=description.strip(),
                body=body,
                query=query,
                responses=responses,
                error_statuses=frozenset(error_statuses),
                reports_cache_status=reports_cache_status,
                accepts_idempotency_key=accepts_idempotency_key,
            )
            self.route(
                path,
                methods=[method],
                name=view.__name__,
                cors=CORS,
                content_types=[],  # checked by parse_body: Chalice would reject a GET for its Content-Type
                authorizer=None if isinstance(access, AuthMode) else self._authorizer,
            )(_dispatcher(spec, view))
            return view

        return register


def _access_of(method: str, path: str) -> AccessRule:
    try:
        return ROUTE_ACCESS[method, path]
    except KeyError:
        raise UnlistedRouteError(f"{method} {path}: add it to ROUTE_ACCESS in chalicelib/security/access.py.") from None


def _dispatcher(spec: EndpointSpec, view: View) -> View:
    def dispatch(**parameters: str) -> Response:
        read_through.cache_status.set("bypass")
        response = _respond(spec, view, parameters)
        response.headers = {**_cache_headers(spec), **response.headers}
        # On other statuses, it would reveal whether there is a hidden resource.
        if spec.reports_cache_status and response.status_code in (200, 304):
            response.headers["X-Cache"] = read_through.cache_status.get()
        return response

    dispatch.__doc__ = view.__doc__
    dispatch.endpoint = spec  # type: ignore[attr-defined]
    return dispatch


def _cache_headers(spec: EndpointSpec) -> Mapping[str, str]:
    """Return headers that let no cache store a response, unless it is the same for all callers (RFC 9111 §5.2)."""
    if spec.access is AuthMode.PUBLIC and spec.method == "GET":
        return {}
    if spec.access is not AuthMode.OPTIONAL:
        return NO_STORE
    is_anonymous = "authorization" not in request_context.request.get().headers
    return {"Cache-Control": "no-cache" if is_anonymous else "no-store", "Vary": "Authorization"}


def _respond(spec: EndpointSpec, view: View, parameters: dict[str, str]) -> Response:
    request = request_context.request.get()
    try:
        caller = authenticate(spec.access, request)
        request_context.user_id.set(caller.id if caller else None)
        body, query = parse_body(spec.body, request), parse_query(spec.query, request)
        key = parse_idempotency_key(request) if spec.accepts_idempotency_key else None
        return view(ApiRequest(request, caller, body, query, key), **parameters)
    except DomainError as error:
        response = error_response(error, request_context.instance_path(request))
        error_log.info(error.detail, status=response.status_code, error=type(error).__name__)
        return response
    except Exception:
        error_log.exception("Unhandled exception", status=500)
        return internal_error_response(request_context.instance_path(request))
