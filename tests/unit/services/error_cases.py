"""Calls of services that raise an error, and the error as clients get it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import (
    DomainError,
)
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.models.throttles import Reservation, Throttle
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import (
    password_attempts,
    sessions,
)

STUDENT = Caller("c" * 16, "student", Role.STUDENT, "s")
INSTRUCTOR = Caller("b" * 16, "other", Role.INSTRUCTOR, "s")
OWNER = Caller("a" * 16, "owner", Role.INSTRUCTOR, "s")
ID = "e" * 16
LESSON_ID = ID + "1" * 8
PASSWORD = "sphinx of black quartz"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
USER = User(STUDENT.id, username="student", email="student@example.org", role="student", auth_version=1)
COURSE = Course(
    ID,
    owner_id=OWNER.id,
    is_published=True,
    version=3,
    title="Title",
    description="",
    price_cents=0,
    created_at=clock.format_timestamp(NOW),
)
LESSON = Lesson(ID, "1" * 8, version=3, title="Title")

Replacements = dict[tuple[Any, str], Any]


def raises(error: Exception) -> Mock:
    return Mock(side_effect=error)


def gives(value: object) -> Mock:
    return Mock(return_value=value)


ACTIVE: Replacements = {(sessions, "require_active_session"): gives(USER)}
VISIBLE: Replacements = {(Course, "find"): gives(COURSE), (Lesson, "find"): gives(LESSON)}
NO_ACCOUNT: Replacements = {
    (password_attempts, "get_together"): gives((None, None, None)),
    (password_attempts, "access_together"): lambda tables, calls: [call() for call in calls],
}
NO_PASSWORD: Replacements = NO_ACCOUNT | {
    (passwords, "verify_password"): gives(False),
    (Throttle, "reserve"): gives(Reservation("s", 2**40)),
    (Throttle, "settle"): gives(None),
}

Case = tuple[Replacements, Callable[[], object], type[DomainError], str, list[tuple[str, str, str]]]
"""Replaced attributes, the call, its error's class and detail, and field, code and message of invalid fields."""


def assert_error(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Assert that a call raises exactly this error."""
    replacements, call, error, detail, fields = case
    for (owner, name), value in replacements.items():
        monkeypatch.setattr(owner, name, value)

    with pytest.raises(DomainError) as raised:
        call()
    assert type(raised.value) is error
    assert raised.value.detail == str(raised.value) == detail
    assert [(field.field, field.code, field.message) for field in raised.value.fields] == fields
