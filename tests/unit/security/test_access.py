"""The access matrix of the contract, written out: who may call what, before ownership is checked."""

import pytest

from chalicelib.core.roles import Role
from chalicelib.security.access import ROUTE_ACCESS, AuthMode, routes_allowed_for

MATRIX = """
GET    /api/health                              public
GET    /api/schema                              public
GET    /api/docs                                public
GET    /api/docs/{asset}                        public
GET    /api/account                             public
GET    /api/account/{asset}                     public
POST   /api/v1/auth/register                    public
POST   /api/v1/auth/login                       public
POST   /api/v1/auth/refresh                     public
POST   /api/v1/auth/logout                      public
GET    /api/v1/auth/me                          admin instructor student
PATCH  /api/v1/auth/me                          admin instructor student
DELETE /api/v1/auth/me                          admin instructor student
GET    /api/v1/auth/me/export                   admin instructor student
POST   /api/v1/auth/password                    admin instructor student
POST   /api/v1/auth/password/forgot             public
POST   /api/v1/auth/password/reset              public
POST   /api/v1/auth/email/verification          admin instructor student
POST   /api/v1/auth/email/verify                public
GET    /api/v1/auth/me/notifications            admin instructor student
PATCH  /api/v1/auth/me/notifications            admin instructor student
GET    /api/v1/notifications/unsubscribe        public
POST   /api/v1/notifications/unsubscribe        public
GET    /api/v1/users                            admin
GET    /api/v1/users/{user_id}                  admin
PATCH  /api/v1/users/{user_id}                  admin
DELETE /api/v1/users/{user_id}                  admin
GET    /api/v1/courses                          optional
POST   /api/v1/courses                          admin instructor
GET    /api/v1/courses-public                   public
GET    /api/v1/courses/{course_id}              optional
PUT    /api/v1/courses/{course_id}              admin instructor student
PATCH  /api/v1/courses/{course_id}              admin instructor student
DELETE /api/v1/courses/{course_id}              admin instructor student
GET    /api/v1/courses/{course_id}/places       optional
GET    /api/v1/lessons                          optional
POST   /api/v1/lessons                          admin instructor
GET    /api/v1/lessons/{lesson_id}              optional
PUT    /api/v1/lessons/{lesson_id}              admin instructor student
PATCH  /api/v1/lessons/{lesson_id}              admin instructor student
DELETE /api/v1/lessons/{lesson_id}              admin instructor student
GET    /api/v1/enrollments                      admin instructor student
POST   /api/v1/enrollments                      student
DELETE /api/v1/enrollments/{enrollment_id}      admin student
GET    /api/v1/waitlist                         admin instructor student
GET    /api/v1/waitlist/{entry_id}              admin instructor student
DELETE /api/v1/waitlist/{entry_id}              admin student
GET    /api/v1/reports/daily                    admin
GET    /api/v1/audit                            admin
"""
EXPECTED = {(method, path): set(access) for method, path, *access in map(str.split, MATRIX.strip().splitlines())}


def test_matrix_is_that_of_the_contract() -> None:
    actual = {
        route: {str(rule)} if isinstance(rule, AuthMode) else {str(role) for role in rule}
        for route, rule in ROUTE_ACCESS.items()
    }
    assert actual == EXPECTED


@pytest.mark.parametrize("role", ["admin", "instructor", "student"])
def test_role_is_allowed_its_routes(role: str) -> None:
    allowed = routes_allowed_for(Role(role))

    assert set(allowed) == {route for route, access in EXPECTED.items() if role in access}
    assert len(allowed) == len(set(allowed))
