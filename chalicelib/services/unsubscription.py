"""Unsubscription by the links in emails, without a login."""

from urllib.parse import urlencode

from chalicelib.core.config import settings
from chalicelib.core.email_kinds import PREFERENCE_OF, EmailKind
from chalicelib.core.errors import InvalidInput
from chalicelib.core.unsubscribe_tokens import UnsubscribeToken
from chalicelib.models.users import User
from chalicelib.observability.logs import event_log

UNSUBSCRIBE_PATH = "/api/v1/notifications/unsubscribe"


def wants(user: User, kind: EmailKind) -> bool:
    """Return whether a user wants a kind of emails. Emails about the account itself cannot be stopped."""
    return PREFERENCE_OF.get(kind) not in user.unwanted_emails


def unsubscribe_token(user: User, scope: str) -> str:
    """Return the token that stops the emails of a preference, or all of them.

    Raises:
        StaleRead: The account was erased after the user was read.
    """
    return str(UnsubscribeToken(user.id, user.ensure_unsubscribe_secret(), scope))


def unsubscribe_url(user: User, kind: EmailKind) -> str:
    """Return the URL that stops a kind of emails by a POST request (RFC 8058), and shows a page on a GET request.

    Raises:
        ConfigurationError: The URL of the API is not configured.
        KeyError: Emails of this kind cannot be stopped.
        StaleRead: The account was erased after the user was read.
    """
    page = f"{settings().api_url}{UNSUBSCRIBE_PATH}/"
    return f"{page}?{urlencode({'token': unsubscribe_token(user, PREFERENCE_OF[kind])})}"


def parse_token(text: str) -> UnsubscribeToken:
    """Return the parts of a token, whether or not its account exists.

    Raises:
        InvalidInput: The token is malformed.
    """
    token = UnsubscribeToken.parse(text)
    if token is None:
        raise InvalidInput.for_field("token", "invalid_token", "The link is incomplete.")
    return token


def unsubscribe(text: str) -> UnsubscribeToken:
    """Stop the emails that a token names, and return its parts.

    Nothing changes if the account was erased or the secret is another user's. The caller does not learn that.

    Raises:
        InvalidInput: The token is malformed.
    """
    token = parse_token(text)
    user = User.set_email_preferences(token.user_id, token.preferences, set(), secret=token.secret)
    if user is not None:
        event_log.info("Unsubscribed from emails", user_id=user.id, scope=token.scope)
    return token
