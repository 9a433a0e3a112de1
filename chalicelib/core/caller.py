"""The authenticated user behind a request."""

from typing import NamedTuple

from chalicelib.core.roles import Role


class Caller(NamedTuple):
    """The user of a valid access token."""

    id: str
    username: str
    role: Role
    session_id: str

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an admin."""
        return self.role is Role.ADMIN
