"""Who may call what: route × method × role, for the whole API.

The authorizer's policy, the OpenAPI document and the tests read this table. It decides who gets
through the door; who owns what is decided behind it, in the services, which check the role again.
"""

from enum import StrEnum

from chalicelib.core.roles import Role


class Door(StrEnum):
    """Access that does not depend on a role."""

    PUBLIC = "public"
    """No token is read."""
    OPTIONAL = "optional"
    """Anonymous without a token; a bad token is an error."""


Access = Door | frozenset[Role]

EVERYONE = frozenset(Role)
TEACHING = frozenset({Role.ADMIN, Role.INSTRUCTOR})
ADMINS = frozenset({Role.ADMIN})

ACCESS: dict[tuple[str, str], Access] = {
    ("GET", "/api/health"): Door.PUBLIC,
    ("GET", "/api/schema"): Door.PUBLIC,
    ("GET", "/api/docs"): Door.PUBLIC,
    ("GET", "/api/docs/{asset}"): Door.PUBLIC,
    ("POST", "/api/v1/auth/register"): Door.PUBLIC,
    ("POST", "/api/v1/auth/login"): Door.PUBLIC,
    ("POST", "/api/v1/auth/refresh"): Door.PUBLIC,
    ("POST", "/api/v1/auth/logout"): Door.PUBLIC,
    ("GET", "/api/v1/auth/me"): EVERYONE,
    ("PATCH", "/api/v1/auth/me"): EVERYONE,
    ("DELETE", "/api/v1/auth/me"): EVERYONE,
    ("GET", "/api/v1/auth/me/export"): EVERYONE,
    ("POST", "/api/v1/auth/password"): EVERYONE,
    ("GET", "/api/v1/users"): ADMINS,
    ("GET", "/api/v1/users/{user_id}"): ADMINS,
    ("PATCH", "/api/v1/users/{user_id}"): ADMINS,
    ("DELETE", "/api/v1/users/{user_id}"): ADMINS,
    ("GET", "/api/v1/courses"): Door.OPTIONAL,
    ("POST", "/api/v1/courses"): TEACHING,
    ("GET", "/api/v1/courses-public"): Door.PUBLIC,
    ("GET", "/api/v1/courses/{course_id}"): Door.OPTIONAL,
    # Who may not see a draft gets 404 for it, so that every role comes as far as the service.
    ("PUT", "/api/v1/courses/{course_id}"): EVERYONE,
    ("PATCH", "/api/v1/courses/{course_id}"): EVERYONE,
    ("DELETE", "/api/v1/courses/{course_id}"): EVERYONE,
    ("GET", "/api/v1/lessons"): Door.OPTIONAL,
    ("POST", "/api/v1/lessons"): TEACHING,
    ("GET", "/api/v1/lessons/{lesson_id}"): Door.OPTIONAL,
    ("PUT", "/api/v1/lessons/{lesson_id}"): EVERYONE,
    ("PATCH", "/api/v1/lessons/{lesson_id}"): EVERYONE,
    ("DELETE", "/api/v1/lessons/{lesson_id}"): EVERYONE,
    ("GET", "/api/v1/enrollments"): EVERYONE,
    ("POST", "/api/v1/enrollments"): frozenset({Role.STUDENT}),
    ("DELETE", "/api/v1/enrollments/{enrollment_id}"): frozenset({Role.ADMIN, Role.STUDENT}),
    ("GET", "/api/v1/reports/daily"): ADMINS,
}


def routes_of(role: Role) -> list[tuple[str, str]]:
    """The (method, path) pairs that need a token and admit this role."""
    return [route for route, access in ACCESS.items() if not isinstance(access, Door) and role in access]
