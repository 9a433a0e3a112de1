"""/auth/me/notifications: email preferences. /notifications/unsubscribe: the links in emails."""

from html import escape
from string import Template

from chalice.app import Response

from chalicelib.core import resources
from chalicelib.core.email_kinds import EmailPreference
from chalicelib.core.unsubscribe_tokens import ALL, UnsubscribeToken
from chalicelib.handlers.api.account_page import asset_path
from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.notifications import NotificationsPatch, NotificationsRead, UnsubscribeQuery
from chalicelib.services import notifications, unsubscription
from chalicelib.services.unsubscription import UNSUBSCRIBE_PATH
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.request_context import base_path
from chalicelib.web.responses import NO_STORE, json_response
from chalicelib.web.routing import ApiBlueprint

PREFERENCES_PATH = f"{API_PREFIX}/auth/me/notifications"
_EMAILS = {
    EmailPreference.ENROLLMENT: "Emails about enrollments",
    EmailPreference.WAITLIST: "Emails about waiting lists",
    EmailPreference.COMPLETION: "Emails about completed courses",
    EmailPreference.REPORTS: "Emails with daily reports",
    ALL: "All emails except those about your account",
}
_ACCOUNT_EMAILS = "Emails about your account itself, such as about a new password, are still sent."
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
}

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("GET", PREFERENCES_PATH, responses={200: NotificationsRead})
def get_notifications(request: ApiRequest[None, None]) -> Response:
    """Get the caller's email preferences."""
    return json_response(NotificationsRead.model_validate(notifications.get_preferences(request.caller)))


@blueprint.endpoint("PATCH", PREFERENCES_PATH, body=NotificationsPatch, responses={200: NotificationsRead})
def update_notifications(request: ApiRequest[NotificationsPatch, None]) -> Response:
    """Change the caller's email preferences.

    Emails about the account itself cannot be stopped.
    """
    preferences = notifications.change_preferences(request.caller, request.body.provided_fields())
    return json_response(NotificationsRead.model_validate(preferences))


@blueprint.endpoint("GET", UNSUBSCRIBE_PATH, query=UnsubscribeQuery, responses={200: None})
def get_unsubscribe_page(request: ApiRequest[None, UnsubscribeQuery]) -> Response:
    """Get the page with the buttons that stop emails.

    It changes nothing, because email scanners open links.
    """
    token, base = unsubscription.parse_token(request.query.token), base_path(request.request)
    scopes = [token] if token.scope == ALL else [token, token.for_all()]
    forms = "".join(_form(base, scope, is_secondary=scope is not token) for scope in scopes)
    page = _template("unsubscribe.html").substitute(
        style=escape(base + asset_path("pages.css")), forms=forms, note=escape(_ACCOUNT_EMAILS)
    )
    return Response(page, headers={"Content-Type": "text/html; charset=utf-8", **NO_STORE, **_POLICY})


@blueprint.endpoint("POST", UNSUBSCRIBE_PATH, query=UnsubscribeQuery, responses={200: None})
def unsubscribe(request: ApiRequest[None, UnsubscribeQuery]) -> Response:
    """Stop emails by the link in one of them (RFC 8058).

    The body is not read. The response is the same whether or not the account exists.
    """
    token = unsubscription.unsubscribe(request.query.token)
    text = f"{_EMAILS[token.scope]} are stopped.\n\n{_ACCOUNT_EMAILS}\n"
    return Response(text, headers={"Content-Type": "text/plain; charset=utf-8"})


def _template(name: str) -> Template:
    return Template(resources.page_file(name))


def _form(base: str, token: UnsubscribeToken, *, is_secondary: bool) -> str:
    emails = _EMAILS[token.scope]
    return _template("unsubscribe-form.html").substitute(
        action=escape(f"{base}{UNSUBSCRIBE_PATH}/?token={token}"),
        attributes=' class="secondary"' if is_secondary else "",
        label=escape(f"Stop {emails[0].lower()}{emails[1:]}"),
    )
