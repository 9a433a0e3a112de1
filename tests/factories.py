"""Factories of users and courses, by the services and models. They do not hash passwords, which is slow."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.course_listings import CourseListing, listing_rows
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.sessions import Session
from chalicelib.security import passwords, tokens
from chalicelib.security.tokens import TokenType
from chalicelib.services import accounts, courses
from chalicelib.services.rendering import RenderedCoursePage
from tests.clients import PASSWORD, unique

_FIRST_CREATED = datetime(2026, 11, 22, tzinfo=UTC)


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


def store_courses(titles: list[str]) -> list[str]:
    """Store published courses, the oldest first, with the rows of their keywords only, and return their IDs."""
    stored = []
    for number, title in enumerate(titles):
        at = clock.format_timestamp(_FIRST_CREATED + timedelta(seconds=number))
        course = Course(ids.new_id(), owner_id="o", owner="o", created_at=at, updated_at=at, title=title)
        course.description, course.price_cents, course.is_published = "", 0, True
        stored.append(course)
    with Course.batch_write() as batch:
        for course in stored:
            batch.save(course)
    with CourseListing.batch_write() as rows:
        for course in stored:
            for row in listing_rows(course):
                if row.is_keyword:
                    rows.save(row)
    return [course.id for course in stored]


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
