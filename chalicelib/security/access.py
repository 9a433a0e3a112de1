"""Access control of the API: route × method × role.

The authorizer's policy, the OpenAPI document and the tests read this table. It decides which roles reach a route.
Ownership is checked by the services, which check the role again.
"""

from enum import StrEnum

from chalicelib.core.roles import Role


class AuthMode(StrEnum):
    """Access that does not depend on a role."""

    PUBLIC = "public"  # no token is read
    OPTIONAL = "optional"  # anonymous without a token; an invalid token is an error


AccessRule = AuthMode | frozenset[Role]

AUTHENTICATED = frozenset(Role)
INSTRUCTORS_AND_ADMINS = frozenset({Role.ADMIN, Role.INSTRUCTOR})
ADMINS_ONLY = frozenset({Role.ADMIN})

ROUTE_ACCESS: dict[tuple[str, str], AccessRule] = {
    ("GET", "/api/health"): AuthMode.PUBLIC,
    ("GET", "/api/schema"): AuthMode.PUBLIC,
    ("GET", "/api/docs"): AuthMode.PUBLIC,
    ("GET", "/api/docs/{asset}"): AuthMode.PUBLIC,
    ("GET", "/api/account"): AuthMode.PUBLIC,
    ("GET", "/api/account/{asset}"): AuthMode.PUBLIC,
    ("POST", "/api/v1/auth/register"): AuthMode.PUBLIC,
    ("POST", "/api/v1/auth/login"): AuthMode.PUBLIC,
    ("POST", "/api/v1/auth/refresh"): AuthMode.PUBLIC,
    ("POST", "/api/v1/auth/logout"): AuthMode.PUBLIC,
    ("POST", "/api/v1/auth/password/forgot"): AuthMode.PUBLIC,
    ("POST", "/api/v1/auth/password/reset"): AuthMode.PUBLIC,
    ("POST", "/api/v1/auth/email/verification"): AUTHENTICATED,
    ("POST", "/api/v1/auth/email/verify"): AuthMode.PUBLIC,
    ("GET", "/api/v1/auth/me"): AUTHENTICATED,
    ("PATCH", "/api/v1/auth/me"): AUTHENTICATED,
    ("DELETE", "/api/v1/auth/me"): AUTHENTICATED,
    ("GET", "/api/v1/auth/me/export"): AUTHENTICATED,
    ("GET", "/api/v1/auth/me/notifications"): AUTHENTICATED,
    ("PATCH", "/api/v1/auth/me/notifications"): AUTHENTICATED,
    ("POST", "/api/v1/auth/password"): AUTHENTICATED,
    # The links in emails have a token of their own.
    ("GET", "/api/v1/notifications/unsubscribe"): AuthMode.PUBLIC,
    ("POST", "/api/v1/notifications/unsubscribe"): AuthMode.PUBLIC,
    ("GET", "/api/v1/users"): ADMINS_ONLY,
    ("GET", "/api/v1/users/{user_id}"): ADMINS_ONLY,
    ("PATCH", "/api/v1/users/{user_id}"): ADMINS_ONLY,
    ("DELETE", "/api/v1/users/{user_id}"): ADMINS_ONLY,
    ("GET", "/api/v1/courses"): AuthMode.OPTIONAL,
    ("POST", "/api/v1/courses"): INSTRUCTORS_AND_ADMINS,
    ("GET", "/api/v1/courses-public"): AuthMode.PUBLIC,
    ("GET", "/api/v1/courses/{course_id}"): AuthMode.OPTIONAL,
    # All roles reach the service: a caller who may not see a draft gets 404 for it, not 403.
    ("PUT", "/api/v1/courses/{course_id}"): AUTHENTICATED,
    ("PATCH", "/api/v1/courses/{course_id}"): AUTHENTICATED,
    ("DELETE", "/api/v1/courses/{course_id}"): AUTHENTICATED,
    ("GET", "/api/v1/courses/{course_id}/places"): AuthMode.OPTIONAL,
    ("GET", "/api/v1/lessons"): AuthMode.OPTIONAL,
    ("POST", "/api/v1/lessons"): INSTRUCTORS_AND_ADMINS,
    ("GET", "/api/v1/lessons/{lesson_id}"): AuthMode.OPTIONAL,
    ("PUT", "/api/v1/lessons/{lesson_id}"): AUTHENTICATED,
    ("PATCH", "/api/v1/lessons/{lesson_id}"): AUTHENTICATED,
    ("DELETE", "/api/v1/lessons/{lesson_id}"): AUTHENTICATED,
    ("GET", "/api/v1/enrollments"): AUTHENTICATED,
    ("POST", "/api/v1/enrollments"): frozenset({Role.STUDENT}),
    ("DELETE", "/api/v1/enrollments/{enrollment_id}"): frozenset({Role.ADMIN, Role.STUDENT}),
    ("GET", "/api/v1/waitlist"): AUTHENTICATED,
    ("GET", "/api/v1/waitlist/{entry_id}"): AUTHENTICATED,
    ("DELETE", "/api/v1/waitlist/{entry_id}"): frozenset({Role.ADMIN, Role.STUDENT}),
    ("GET", "/api/v1/reports/daily"): ADMINS_ONLY,
    ("GET", "/api/v1/audit"): ADMINS_ONLY,
}


def routes_allowed_for(role: Role) -> list[tuple[str, str]]:
    """Return the (method, path) pairs that require a token and allow this role."""
    return [route for route, rule in ROUTE_ACCESS.items() if not isinstance(rule, AuthMode) and role in rule]
