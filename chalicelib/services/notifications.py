"""Email preferences: which emails users want."""

from collections.abc import Mapping

from chalicelib.core.caller import Caller
from chalicelib.core.errors import NotAuthenticated
from chalicelib.models.users import User
from chalicelib.services import sessions


def get_preferences(caller: Caller) -> dict[str, bool]:
    """Return whether the caller wants the emails of each preference.

    Raises:
        NotAuthenticated: The caller's session was revoked.
    """
    return sessions.require_active_session(caller).email_preferences


def change_preferences(caller: Caller, fields: Mapping[str, bool]) -> dict[str, bool]:
    """Change some of the caller's preferences, and return all of them.

    Raises:
        NotAuthenticated: The caller's session was revoked, or the account was erased concurrently.
    """
    user: User | None = sessions.require_active_session(caller)
    if fields:
        unwanted = {name for name, is_wanted in fields.items() if not is_wanted}
        user = User.set_email_preferences(caller.id, unwanted, fields.keys() - unwanted)
    if user is None:
        raise NotAuthenticated.outdated()
    return user.email_preferences
