"""Services without AWS, and a course with a capacity."""

from unittest.mock import Mock

import pytest

from chalicelib.adapters import aws, sqs
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.security import passwords, signing_keys
from chalicelib.services import enrollments
from tests.clients import PASSWORD
from tests.factories import create_course, create_user


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every use of AWS fails, except for messages to queues, which are accepted."""
    monkeypatch.setattr(aws, "client", Mock(side_effect=AssertionError("a call to AWS")))
    monkeypatch.setattr(aws, "session", Mock(side_effect=AssertionError("a call to AWS")))
    monkeypatch.setattr(sqs, "send", Mock(return_value=True))
    monkeypatch.setattr(signing_keys, "keyed_hash", Mock(return_value="hash"))


@pytest.fixture
def verified_passwords(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were verified, without the time of a hash."""
    passwords_tried: list[str] = []

    def verify(password: str, password_hash: str | None) -> bool:
        passwords_tried.append(password)
        return password == PASSWORD and password_hash is not None

    monkeypatch.setattr(passwords, "verify_password", verify)
    monkeypatch.setattr(passwords, "needs_rehash", lambda kept: False)
    return passwords_tried


@pytest.fixture
def owner(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


@pytest.fixture
def students(aws: None) -> list[Caller]:
    return [create_user(Role.STUDENT) for _ in range(5)]


@pytest.fixture
def full_course(owner: Caller, students: list[Caller]) -> Course:
    """A course with one place, which the first student has, and with the second and the third one waiting."""
    course = create_course(owner, capacity=1, waitlist=5)
    for student in students[:3]:
        enrollments.enroll_or_wait(student, course.id)
    return course
