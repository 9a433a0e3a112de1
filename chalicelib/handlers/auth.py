"""/auth: registration, login, the own profile."""

from chalice.app import Response

from chalicelib.handlers.endpoints import API, Call, Endpoints, json_answer
from chalicelib.roles import Role
from chalicelib.schemas.accounts import LoginIn, RegisterIn, TokensOut, UserOut
from chalicelib.services import accounts

blueprint = Endpoints(__name__)


@blueprint.endpoint("POST", f"{API}/auth/register", body=RegisterIn, answers={201: UserOut}, errors=frozenset({409}))
def register(call: Call[RegisterIn, None]) -> Response:
    """Open an account."""
    body = call.body
    user = accounts.register(body.username, body.email, body.password, Role(body.role))
    return json_answer(UserOut.of(user), 201, {"Location": call.url(f"{API}/auth/me/")})


@blueprint.endpoint("POST", f"{API}/auth/login", body=LoginIn, answers={200: TokensOut}, errors=frozenset({401}))
def login(call: Call[LoginIn, None]) -> Response:
    """Begin a session."""
    pair = accounts.login(call.body.username, call.body.password)
    return json_answer(TokensOut(access=pair.access, refresh=pair.refresh), headers={"Cache-Control": "no-store"})


@blueprint.endpoint("GET", f"{API}/auth/me", answers={200: UserOut})
def me(call: Call[None, None]) -> Response:
    """The caller's own profile."""
    return json_answer(UserOut.of(accounts.profile(call.caller.id)))
