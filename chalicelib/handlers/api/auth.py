"""/auth: accounts and sessions of who calls."""

from chalice.app import Response

from chalicelib.core.roles import Role
from chalicelib.schemas.accounts import (
    ExportOut,
    ExportQuery,
    LoginIn,
    PasswordIn,
    ProfileIn,
    ProfileOut,
    RefreshIn,
    RegisterIn,
    TokensOut,
)
from chalicelib.services import accounts, exports, sessions
from chalicelib.web.pagination import link, place_of
from chalicelib.web.routing import API, Call, Endpoints, json_answer, no_content

ME = f"{API}/auth/me"

blueprint = Endpoints(__name__)


@blueprint.endpoint("POST", f"{API}/auth/register", body=RegisterIn, answers={201: ProfileOut}, errors={409})
def register(call: Call[RegisterIn, None]) -> Response:
    """Open an account."""
    body = call.body
    user = accounts.register(body.username, body.email, body.password, Role(body.role))
    return json_answer(ProfileOut.of(user), 201, {"Location": call.url(f"{ME}/")})


@blueprint.endpoint("POST", f"{API}/auth/login", body=LoginIn, answers={200: TokensOut}, errors={401})
def login(call: Call[LoginIn, None]) -> Response:
    """Begin a session."""
    return _tokens(sessions.login(call.body.username, call.body.password, call.address))


@blueprint.endpoint("POST", f"{API}/auth/refresh", body=RefreshIn, answers={200: TokensOut}, errors={401})
def refresh(call: Call[RefreshIn, None]) -> Response:
    """New tokens for a refresh token, which works once.

    Used a second time, it ends the session.
    """
    return _tokens(sessions.refresh(call.body.refresh))


@blueprint.endpoint("POST", f"{API}/auth/logout", body=RefreshIn, answers={204: None}, errors={401})
def logout(call: Call[RefreshIn, None]) -> Response:
    """End the session of a refresh token."""
    sessions.logout(call.body.refresh)
    return no_content()


@blueprint.endpoint("GET", ME, answers={200: ProfileOut})
def read_me(call: Call[None, None]) -> Response:
    """The caller's own profile."""
    return json_answer(ProfileOut.of(accounts.profile(call.caller)))


@blueprint.endpoint("PATCH", ME, body=ProfileIn, answers={200: ProfileOut}, errors={409})
def change_me(call: Call[ProfileIn, None]) -> Response:
    """Change the caller's email address."""
    changes = call.body.changes()
    user = accounts.change_email(call.caller, changes["email"]) if changes else accounts.profile(call.caller)
    return json_answer(ProfileOut.of(user))


@blueprint.endpoint("DELETE", ME, answers={204: None}, errors={409})
def erase_me(call: Call[None, None]) -> Response:
    """Erase the caller's account.

    Refused while it owns published courses.
    """
    accounts.erase(call.caller)
    return no_content()


@blueprint.endpoint("GET", f"{ME}/export", query=ExportQuery, answers={200: ExportOut})
def export_me(call: Call[None, ExportQuery]) -> Response:
    """All that is held about the caller."""
    part = exports.export(call.caller, place_of(call, call.query.cursor))
    return json_answer(ExportOut.of(part, link(call, part.next)))


@blueprint.endpoint("POST", f"{API}/auth/password", body=PasswordIn, answers={204: None}, errors={409})
def change_password(call: Call[PasswordIn, None]) -> Response:
    """Change the caller's password, which ends every session."""
    accounts.change_password(call.caller, call.body.current, call.body.new, call.address)
    return no_content()


def _tokens(pair: sessions.TokenPair) -> Response:
    return json_answer(
        TokensOut(access=pair.access, refresh=pair.refresh),
        headers={"Cache-Control": "no-store"},  # RFC 6749 §5.1
    )
