"""/auth/password and /auth/email: forgotten passwords and verified email addresses."""

from chalice.app import Response

from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.accounts import Accepted, EmailVerification, PasswordReset, PasswordResetRequest
from chalicelib.services import account_recovery
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.responses import json_response, no_content
from chalicelib.web.routing import ApiBlueprint

PASSWORD_PATH = f"{API_PREFIX}/auth/password"
EMAIL_PATH = f"{API_PREFIX}/auth/email"

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("POST", f"{PASSWORD_PATH}/forgot", body=PasswordResetRequest, responses={202: Accepted})
def forgot_password(request: ApiRequest[PasswordResetRequest, None]) -> Response:
    """Request an email with a link that sets a new password.

    The response is the same for a user that does not exist. An account gets at most five of these emails an hour.
    """
    account_recovery.request_password_reset(request.body.username, request.client_ip)
    return json_response(Accepted(), 202)


@blueprint.endpoint("POST", f"{PASSWORD_PATH}/reset", body=PasswordReset, responses={204: None})
def reset_password(request: ApiRequest[PasswordReset, None]) -> Response:
    """Set a new password by the token of the email.

    A token is valid for 30 minutes and for one use; a newer one replaces it. All sessions of the account are revoked.
    """
    account_recovery.reset_password(request.body.token, request.body.password, request.client_ip)
    return no_content()


@blueprint.endpoint("POST", f"{EMAIL_PATH}/verification", responses={202: Accepted}, error_statuses={409})
def request_verification(request: ApiRequest[None, None]) -> Response:
    """Request an email with a link that verifies the caller's email address.

    It can be requested every 60 seconds, ten times a day. A verified address is a conflict.
    """
    account_recovery.request_verification(request.caller)
    return json_response(Accepted(), 202)


@blueprint.endpoint("POST", f"{EMAIL_PATH}/verify", body=EmailVerification, responses={204: None})
def verify_email(request: ApiRequest[EmailVerification, None]) -> Response:
    """Verify an email address by the token of the email.

    A token is valid for 7 days and for one use; a newer one, or another address of the account, makes it void.
    """
    account_recovery.verify_email(request.body.token, request.client_ip)
    return no_content()
