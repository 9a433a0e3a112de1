"""Who may call what: route × method × role, for the whole API.

The authorizer's policy, the OpenAPI document and the tests read this table. It decides who gets
through the door; who owns what is decided behind it, in the services, which check the role again.
"""

from enum import StrEnum


class Role(StrEnum):
    """What a user is."""

    ADMIN = "admin"
    INSTRUCTOR = "instructor"
    STUDENT = "student"


class Door(StrEnum):
    """Access that does not depend on a role."""

    PUBLIC = "public"
    """No token is read."""
    OPTIONAL = "optional"
    """Anonymous without a token; a bad token is an error."""


Access = Door | frozenset[Role]

EVERYONE = frozenset(Role)

ACCESS: dict[tuple[str, str], Access] = {
    ("GET", "/api/health"): Door.PUBLIC,
    ("GET", "/api/schema"): Door.PUBLIC,
    ("GET", "/api/docs"): Door.PUBLIC,
    ("GET", "/api/docs/{asset}"): Door.PUBLIC,
    ("POST", "/api/v1/auth/register"): Door.PUBLIC,
    ("POST", "/api/v1/auth/login"): Door.PUBLIC,
    ("GET", "/api/v1/auth/me"): EVERYONE,
    ("GET", "/api/v1/courses"): Door.OPTIONAL,
    ("POST", "/api/v1/courses"): frozenset({Role.ADMIN, Role.INSTRUCTOR}),
    ("GET", "/api/v1/courses/{course_id}"): Door.OPTIONAL,
    ("POST", "/api/v1/enrollments"): frozenset({Role.STUDENT}),
}


def routes_of(role: Role) -> list[tuple[str, str]]:
    """The (method, path) pairs that need a token and admit this role."""
    return [route for route, access in ACCESS.items() if not isinstance(access, Door) and role in access]
