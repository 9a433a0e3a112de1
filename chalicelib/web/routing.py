"""Declared endpoints: what every HTTP handler is written with.

An `Endpoints` is a Chalice blueprint whose routes say what goes in and what comes out, so that
reading, checking, answering and the OpenAPI document follow from one declaration.
"""

import inspect
import re
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from chalice.app import Blueprint, CORSConfig, Request, Response
from pydantic import BaseModel, ValidationError

from chalicelib.adapters.cache import read_through
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.errors import (
    Busy,
    EduFlowError,
    FieldError,
    Forbidden,
    Invalid,
    NotAuthenticated,
    Throttled,
    TooLarge,
    UnsupportedMedia,
)
from chalicelib.core.roles import Role
from chalicelib.handlers.authorizer import authorizer
from chalicelib.observability import logs
from chalicelib.security import tokens
from chalicelib.security.access import ACCESS, Access, Door
from chalicelib.web import problems, request_context

API = "/api/v1"
MAX_BODY_BYTES = 2 * 1024 * 1024
CORS = CORSConfig(
    allow_origin="*",
    allow_headers=["If-Match", "If-None-Match"],
    expose_headers=[
        "ETag",
        "Location",
        "Retry-After",
        "WWW-Authenticate",
        "X-Cache",
        "X-Request-ID",
        "X-Response-Time-ms",
    ],
    max_age=600,
)

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")

Body = TypeVar("Body", bound=BaseModel | None)
Query = TypeVar("Query", bound=BaseModel | None)


@dataclass(frozen=True)
class Endpoint:
    """One route and method, as declared: what the OpenAPI document is made from."""

    method: str
    path: str
    access: Access
    name: str
    summary: str
    description: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answers: Mapping[int, type[BaseModel] | None]
    errors: frozenset[int]
    cached: bool


@dataclass(frozen=True)
class Call(Generic[Body, Query]):
    """One request, read and checked."""

    request: Request
    visitor: Caller | None
    """The caller, or None where a token is optional and none was sent."""
    body: Body
    query: Query

    @property
    def caller(self) -> Caller:
        """The caller of a route that needs a token."""
        if self.visitor is None:
            raise NotAuthenticated("A token is needed.")
        return self.visitor

    @property
    def address(self) -> str:
        """The address that the request came from, as API Gateway saw it; not what a header claims."""
        return str(self.request.context["identity"]["sourceIp"])

    def url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """The absolute URL of a path of this API, as this client reaches it."""
        return base_url(self.request) + path + (f"?{urlencode(query)}" if query else "")


View = Callable[..., Response]
Headers = dict[str, str | list[str]]


class Endpoints(Blueprint):
    """A blueprint of declared endpoints."""

    def endpoint(
        self,
        method: str,
        path: str,
        *,
        answers: Mapping[int, type[BaseModel] | None],
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        errors: AbstractSet[int] = frozenset(),
        cached: bool = False,
    ) -> Callable[[View], View]:
        """Declare a view: its route, its input and its answers.

        The view gets a `Call` and the path's parameters. Who may call it stands in `roles.ACCESS`.
        ``errors`` are statuses that it can answer beside those that follow from the declaration. A
        ``cached`` one says by the header X-Cache whether the cache served it.
        """
        access = ACCESS[method, path]

        def register(view: View) -> View:
            summary, _, description = (inspect.getdoc(view) or "").partition("\n")
            spec = Endpoint(
                method,
                path,
                access,
                view.__name__,
                summary,
                description.strip(),
                body,
                query,
                answers,
                frozenset(errors),
                cached,
            )

            def answer(**parameters: str) -> Response:
                read_through.outcome.set("bypass")
                response = _answer(spec, view, parameters)
                if spec.cached:
                    response.headers["X-Cache"] = read_through.outcome.get()
                return response

            answer.__doc__ = view.__doc__
            answer.endpoint = spec  # type: ignore[attr-defined]
            self.route(
                path,
                methods=[method],
                name=view.__name__,
                cors=CORS,
                content_types=[],  # checked in _body: Chalice would refuse a GET for a stray header
                authorizer=None if isinstance(access, Door) else authorizer,
            )(answer)
            return view

        return register


def json_answer(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with a JSON body."""
    return Response(
        body.model_dump_json(), status_code=status, headers={"Content-Type": "application/json", **(headers or {})}
    )


def no_content() -> Response:
    """An answer that says only that it is done."""
    return Response("", status_code=204)


def base_url(request: Request) -> str:
    """What stands before ``/api/…`` in this client's URLs: a custom domain, or the stage URL with its stage."""
    if settings().public_base_url:
        return settings().public_base_url
    route_length = request.path.count("/")
    prefix = "/".join(request_context.path(request).rstrip("/").split("/")[:-route_length])
    # What a client claims is in links that others may be given: nothing but what these can be.
    scheme = "http" if request.headers.get("x-forwarded-proto", "http").lower() == "http" else "https"
    host = request.headers.get("host", "")
    return f"{scheme}://{host if _HOST.fullmatch(host) else 'localhost'}{prefix}"


def _answer(spec: Endpoint, view: View, parameters: dict[str, str]) -> Response:
    request = request_context.request.get()
    try:
        visitor = _visitor(spec.access, request)
        request_context.user_id.set(visitor.id if visitor else None)
        return view(Call(request, visitor, _body(spec, request), _query(spec, request)), **parameters)
    except EduFlowError as error:
        status, body = problems.of_error(error, request_context.path(request))
        headers: Headers = {"Content-Type": problems.CONTENT_TYPE}
        if status == 401:
            headers |= problems.AUTHENTICATE
        if isinstance(error, Busy | Throttled):
            headers["Retry-After"] = str(error.retry_after)
        logs.errors.info(error.detail, extra={"extra": {"status": status, "error": type(error).__name__}})
        return Response(body, status_code=status, headers=headers)
    except Exception:
        logs.errors.exception("Unhandled exception", extra={"extra": {"status": 500}})
        body = problems.of_status(500, "Something went wrong on our side.", request_context.path(request))
        return Response(body, status_code=500, headers={"Content-Type": problems.CONTENT_TYPE})


def _visitor(access: Access, request: Request) -> Caller | None:
    if access is Door.PUBLIC:
        return None
    header = request.headers.get("authorization")
    if access is Door.OPTIONAL:
        return _caller_of_token(header, request) if header is not None else None
    caller = _caller_of_authorizer(request.context)
    if caller is None:  # a gateway without authorizers, such as LocalStack's free edition
        if header is None:
            raise NotAuthenticated("A token is needed.")
        caller = _caller_of_token(header, request)
    if caller.role not in access:
        raise Forbidden("Your role may not do this.")
    return caller


def _caller_of_authorizer(request_context: Mapping[str, Any]) -> Caller | None:
    """Return the caller that the gateway's authorizer verified, or None if it passed no complete context.

    Only API Gateway writes ``requestContext``: nothing of it comes from the client.

    Raises NotAuthenticated when the token has expired: the gateway's cached policy can outlive it.
    """
    known = request_context.get("authorizer") or {}
    try:
        caller = Caller(known["principalId"], known["username"], Role(known["role"]), known["session_id"])
        expires_at = int(known["expires_at"])
    except (KeyError, ValueError, TypeError):
        return None
    if expires_at <= time.time():
        raise NotAuthenticated("The token has expired.")
    return caller


def _caller_of_token(header: str, request: Request) -> Caller:
    every: Mapping[str, list[str]] = request.to_original_event().get("multiValueHeaders") or {}
    if any(name.lower() == "authorization" and len(values) > 1 for name, values in every.items()):
        raise NotAuthenticated("There is more than one token.")
    try:
        claims = tokens.verify(tokens.of_header(header), tokens.ACCESS)
    except tokens.BadToken as error:
        raise NotAuthenticated("The token is not valid.") from error
    return Caller(claims.user_id, claims.username, claims.role, claims.session_id)


def _body(spec: Endpoint, request: Request) -> Any:
    if spec.body is None:
        return None
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia(f"The body must be application/json, not {media_type}.")
    raw = request.raw_body or b""
    if len(raw) > MAX_BODY_BYTES:
        raise TooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    try:
        return spec.body.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid(error) from error


def _query(spec: Endpoint, request: Request) -> Any:
    if spec.query is None:
        return None
    given: Any = request.query_params or {}
    try:
        return spec.query.model_validate({name: given[name] for name in given})
    except ValidationError as error:
        raise _invalid(error) from error


def _invalid(error: ValidationError) -> Invalid:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if any(fault["type"] == "json_invalid" for fault in faults):
        return Invalid("The body is not JSON.")
    if any(not fault["loc"] for fault in faults):
        return Invalid("The body must be a JSON object.")
    fields = tuple(
        FieldError(".".join(str(part) for part in fault["loc"]), fault["type"], _sentence(fault["msg"]))
        for fault in faults
    )
    return Invalid("The input is not valid.", fields)


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message if message.endswith(".") else message + "."
