"""What no client can bring about from outside: answers that are lost on their way."""

from typing import Any

import pytest

from chalicelib.core.errors import Conflict
from chalicelib.core.roles import Role
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import accounts
from tests.factories import create_user

NEW = "a new sphinx of quartz"


def test_password_change_with_lost_response_is_no_conflict(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    student = create_user(Role.STUDENT)
    monkeypatch.setattr(passwords, "verify_password", lambda password, kept: True)
    update = User.update

    def update_and_lose_the_answer(self: User, *arguments: Any, **named: Any) -> Any:
        update(self, *arguments, **named)
        return update(self, *arguments, **named)  # as botocore does

    monkeypatch.setattr(User, "update", update_and_lose_the_answer)

    accounts.change_password(student, "current", NEW, "192.0.2.1")

    user = User.find(student.id)
    assert user is not None
    assert user.auth_version == 2


def test_password_change_of_a_changed_account_is_conflict(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    student = create_user(Role.STUDENT)

    def matches_while_somebody_is_faster(password: str, kept: str | None) -> bool:
        User(student.id).update([User.auth_version.add(1)])
        return True

    monkeypatch.setattr(passwords, "verify_password", matches_while_somebody_is_faster)

    with pytest.raises(Conflict):
        accounts.change_password(student, "current", NEW, "192.0.2.1")
