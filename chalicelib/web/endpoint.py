"""The declaration of an endpoint, and the request that its view receives."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

from chalice.app import Request, Response
from pydantic import BaseModel

from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotAuthenticated
from chalicelib.security.access import AccessRule
from chalicelib.web.request_context import base_url

API_PREFIX = "/api/v1"

Body = TypeVar("Body", bound=BaseModel | None)
Query = TypeVar("Query", bound=BaseModel | None)
View = Callable[..., Response]


class EndpointSpec(NamedTuple):
    """One route and method, as declared. The OpenAPI document is generated from it."""

    method: str
    path: str
    access: AccessRule
    name: str
    summary: str
    description: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    responses: Mapping[int, type[BaseModel] | None]
    error_statuses: frozenset[int]
    reports_cache_status: bool
    accepts_idempotency_key: bool


class ApiRequest(NamedTuple, Generic[Body, Query]):
    """A parsed, validated and authenticated request."""

    request: Request
    caller_or_none: Caller | None  # None where a token is optional and none was sent
    body: Body
    query: Query
    idempotency_key: str | None = None  # only of an endpoint that accepts one

    @property
    def caller(self) -> Caller:
        """The caller of an endpoint that requires a token."""
        if self.caller_or_none is None:
            raise NotAuthenticated("Authentication required.")
        return self.caller_or_none

    @property
    def client_ip(self) -> str:
        """The source address that API Gateway saw. No header of the client can change it."""
        return str(self.request.context["identity"]["sourceIp"])

    def url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """Return the absolute URL of a path of this API, as this client reaches it."""
        return base_url(self.request) + path + (f"?{urlencode(query)}" if query else "")
