"""Factories of users and courses for unit tests. They do not hash passwords, which is slow."""

import json
import time
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.sessions import Session
from chalicelib.security import passwords, tokens
from chalicelib.security.tokens import TokenType
from chalicelib.services import accounts, courses
from chalicelib.services.rendering import RenderedCoursePage
from tests.clients import PASSWORD, unique


def create_user(role: Role, now: datetime | None = None, name: str | None = None) -> Caller:
    """Create a user with a session."""
    username = name or unique(role.value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hash_password", lambda password: "no hash")
        if role is Role.ADMIN:
            user = accounts.create_admin(username, f"{username}@example.org", PASSWORD)
        else:
            user = accounts.register(username, f"{username}@example.org", PASSWORD, role, now=now)
    session = Session(user.id, "s", refresh_id="", auth_version=user.auth_version, created_at="", expires_at=0)
    session.save()
    return Caller(user.id, username, role, session.id)


def create_token(caller: Caller, token_type: TokenType = TokenType.ACCESS, issued_at: int | None = None) -> str:
    """Return a token of a user, issued now unless at another time (Unix seconds)."""
    return tokens.issue(
        token_type,
        token_id=str(uuid4()),
        user_id=caller.id,
        username=caller.username,
        role=caller.role,
        session_id=caller.session_id,
        issued_at=int(time.time()) if issued_at is None else issued_at,
    )


def create_course(owner: Caller, now: datetime | None = None, **fields: Any) -> Course:
    """Create a course, published and free of charge by default."""
    values = {"title": "A title", "description": "", "price_cents": 0, "is_published": True} | fields
    return courses.create(owner, values, now or clock.now())


def course_ids(page: RenderedCoursePage) -> list[str]:
    """Return the IDs of the courses of a page."""
    return [course["id"] for course in courses_of(page)]


def courses_of(page: RenderedCoursePage) -> list[dict[str, Any]]:
    """Return the courses of a page, as clients get them."""
    found: list[dict[str, Any]] = json.loads(f"[{page.json}]")
    return found


def remove_enrollment(enrollment: Enrollment) -> bool:
    """Delete an enrollment and return whether it existed."""
    return bool(Enrollment.delete_batch([enrollment], clock.timestamp()))
