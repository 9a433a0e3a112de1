"""/auth: registration, sessions, and the caller's own account."""

from chalice.app import Response

from chalicelib.core.roles import Role
from chalicelib.handlers.authorizer import authorizer
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.lessons import Lesson
from chalicelib.models.sessions import Session
from chalicelib.models.tickets import Ticket
from chalicelib.schemas.accounts import (
    LoginRequest,
    PasswordChange,
    ProfilePatch,
    ProfileRead,
    RefreshRequest,
    RegisterRequest,
    TokenPairRead,
)
from chalicelib.schemas.courses import CourseRead
from chalicelib.schemas.exports import (
    AccountEmailRead,
    ExportedEnrollment,
    ExportedUser,
    ExportedWaitlistEntry,
    ExportQuery,
    ExportRead,
    KnownAddressRead,
    SessionRead,
    TicketRead,
)
from chalicelib.schemas.lessons import LessonRead
from chalicelib.services import accounts, exports, sessions
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.pagination import decode_cursor, page_url
from chalicelib.web.responses import json_response, no_content
from chalicelib.web.routing import ApiBlueprint

AUTH_PATH = f"{API_PREFIX}/auth"
ME_PATH = f"{AUTH_PATH}/me"

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint(
    "POST", f"{AUTH_PATH}/register", body=RegisterRequest, responses={201: ProfileRead}, error_statuses={403, 409}
)
def register(request: ApiRequest[RegisterRequest, None]) -> Response:
    """Register a new account.

    An email with a link asks the user to verify the address.
    """
    body = request.body
    user = accounts.register(body.username, body.email, body.password, Role(body.role), client_ip=request.client_ip)
    return json_response(ProfileRead.from_model(user), 201, {"Location": request.url(f"{ME_PATH}/")})


@blueprint.endpoint(
    "POST", f"{AUTH_PATH}/login", body=LoginRequest, responses={200: TokenPairRead}, error_statuses={401}
)
def login(request: ApiRequest[LoginRequest, None]) -> Response:
    """Log in and return a token pair."""
    return _token_response(sessions.login(request.body.username, request.body.password, request.client_ip))


@blueprint.endpoint(
    "POST", f"{AUTH_PATH}/refresh", body=RefreshRequest, responses={200: TokenPairRead}, error_statuses={401}
)
def refresh(request: ApiRequest[RefreshRequest, None]) -> Response:
    """Rotate a refresh token.

    For 30 seconds, the same token gets the same new refresh token again, unless that was used. Any other reuse
    revokes the session.
    """
    return _token_response(sessions.refresh(request.body.refresh))


@blueprint.endpoint("POST", f"{AUTH_PATH}/logout", body=RefreshRequest, responses={204: None}, error_statuses={401})
def logout(request: ApiRequest[RefreshRequest, None]) -> Response:
    """Log out: revoke the session."""
    sessions.logout(request.body.refresh)
    return no_content()


@blueprint.endpoint("GET", ME_PATH, responses={200: ProfileRead})
def get_me(request: ApiRequest[None, None]) -> Response:
    """Get the caller's profile."""
    return json_response(ProfileRead.from_model(accounts.get_profile(request.caller)))


@blueprint.endpoint("PATCH", ME_PATH, body=ProfilePatch, responses={200: ProfileRead}, error_statuses={409})
def update_me(request: ApiRequest[ProfilePatch, None]) -> Response:
    """Change the caller's email address.

    The new address is unverified: an email with a link asks the user to verify it. The old address is informed. For a
    day, the password of the account cannot be reset by email.
    """
    fields = request.body.provided_fields()
    caller = request.caller
    user = accounts.change_email(caller, fields["email"]) if fields else accounts.get_profile(caller)
    return json_response(ProfileRead.from_model(user))


@blueprint.endpoint("DELETE", ME_PATH, responses={204: None}, error_statuses={409})
def delete_me(request: ApiRequest[None, None]) -> Response:
    """Erase the caller's account.

    An account that owns published courses cannot be erased.
    """
    accounts.erase(request.caller)
    return no_content()


@blueprint.endpoint("GET", f"{ME_PATH}/export", query=ExportQuery, responses={200: ExportRead})
def export_my_data(request: ApiRequest[None, ExportQuery]) -> Response:
    """Export all personal data of the caller."""
    page = exports.export(request.caller, decode_cursor(request, request.query.cursor))
    body = ExportRead(
        user=ExportedUser.from_model(page.user),
        sessions=[SessionRead.from_model(session) for session in page.of_type(Session)],
        courses=[CourseRead.from_model(course) for course in page.of_type(Course)],
        lessons=[LessonRead.from_model(lesson) for lesson in page.of_type(Lesson)],
        known_addresses=[KnownAddressRead.from_model(address) for address in page.of_type(KnownAddress)],
        tickets=[TicketRead.from_model(ticket) for ticket in page.of_type(Ticket)],
        account_emails=[AccountEmailRead.from_model(email) for email in page.of_type(AccountEmail)],
        enrollments=[ExportedEnrollment.from_model(row) for row in page.of_type(Enrollment) if not row.is_waiting],
        waitlist=[ExportedWaitlistEntry.from_model(row) for row in page.of_type(Enrollment) if row.is_waiting],
        next=page_url(request, page.next_cursor),
    )
    return json_response(body)


@blueprint.endpoint("POST", f"{AUTH_PATH}/password", body=PasswordChange, responses={204: None}, error_statuses={409})
def change_password(request: ApiRequest[PasswordChange, None]) -> Response:
    """Change the caller's password.

    All sessions of the account are revoked.
    """
    accounts.change_password(request.caller, request.body.current, request.body.new, request.client_ip)
    return no_content()


def _token_response(pair: sessions.TokenPair) -> Response:
    return json_response(TokenPairRead(access=pair.access, refresh=pair.refresh))
