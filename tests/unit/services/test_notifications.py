"""Email preferences and the links that stop emails."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.core import clock, ids
from chalicelib.core.caller import Caller
from chalicelib.core.config import ConfigurationError, settings
from chalicelib.core.email_kinds import EmailKind, EmailPreference
from chalicelib.core.errors import InvalidInput, NotAuthenticated
from chalicelib.core.roles import Role
from chalicelib.models.base import add_nothing
from chalicelib.models.users import User
from chalicelib.security import signing_keys
from chalicelib.services import enrollments, notifications, sessions, unsubscription, users
from ops import rotate_keys
from tests.factories import create_course, create_user, remove_enrollment
from tests.unit.conftest import log_lines

WANTS_ALL = {"enrollment": True, "waitlist": True, "completion": True, "reports": True}
STOPPABLE = {
    EmailKind.ENROLLMENT: "enrollment",
    EmailKind.PLACE_AVAILABLE: "waitlist",
    EmailKind.REPORT: "reports",
}


@pytest.fixture
def student(aws: None) -> Caller:
    return create_user(Role.STUDENT)


def user_of(caller: Caller) -> User:
    user = User.find(caller.id)
    assert user is not None
    return user


def token_of(caller: Caller, scope: str) -> str:
    return unsubscription.unsubscribe_token(user_of(caller), scope)


@pytest.mark.parametrize("role", Role)
def test_preferences_are_all_wanted_at_first(aws: None, role: Role) -> None:
    assert notifications.get_preferences(create_user(role)) == WANTS_ALL


@pytest.mark.parametrize("role", Role)
def test_changes_keep_the_other_preferences(aws: None, role: Role) -> None:
    caller, other = create_user(role), create_user(role)

    notifications.change_preferences(caller, {"reports": False, "waitlist": False})
    changed = notifications.change_preferences(caller, {"waitlist": True, "completion": False})

    assert changed == notifications.get_preferences(caller) == WANTS_ALL | {"reports": False, "completion": False}
    assert notifications.get_preferences(other) == WANTS_ALL


def test_empty_change_writes_nothing(student: Caller, dynamodb_calls: list[str]) -> None:
    assert notifications.change_preferences(student, {}) == WANTS_ALL
    assert dynamodb_calls == ["BatchGetItem"]


def test_change_is_one_write(student: Caller, dynamodb_calls: list[str]) -> None:
    notifications.change_preferences(student, {"reports": False, "waitlist": True})

    assert dynamodb_calls == ["BatchGetItem", "UpdateItem"]


@pytest.mark.parametrize(
    "call", [notifications.get_preferences, lambda caller: notifications.change_preferences(caller, {"reports": False})]
)
def test_revoked_session_neither_reads_nor_changes(student: Caller, call: Callable[[Caller], object]) -> None:
    user_of(student).change_password("a hash", add_nothing)

    with pytest.raises(NotAuthenticated):
        call(student)
    assert user_of(student).unwanted_emails == set()


def run_after_reading(monkeypatch: pytest.MonkeyPatch, other: Callable[[], object]) -> None:
    """Let another request run between the read of the session and the write."""
    read = sessions.require_active_session

    def read_then_other(caller: Caller) -> User:
        user = read(caller)
        other()
        return user

    monkeypatch.setattr(sessions, "require_active_session", read_then_other)


def test_concurrent_unsubscription_is_not_undone(student: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    token = token_of(student, "enrollment")
    run_after_reading(monkeypatch, lambda: unsubscription.unsubscribe(token))

    changed = notifications.change_preferences(student, {"reports": False, "waitlist": True})

    assert changed == WANTS_ALL | {"reports": False, "enrollment": False}
    assert user_of(student).email_preferences == changed


def test_change_of_a_concurrently_erased_account_fails(student: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    run_after_reading(monkeypatch, lambda: users.erase(student.id))

    with pytest.raises(NotAuthenticated):
        notifications.change_preferences(student, {"reports": False})


@pytest.mark.parametrize("kind", EmailKind)
def test_stopped_kind_is_unwanted_and_account_emails_are_not(student: Caller, kind: EmailKind) -> None:
    assert unsubscription.wants(user_of(student), kind)

    unsubscription.unsubscribe(token_of(student, "all"))

    assert unsubscription.wants(user_of(student), kind) is (kind not in STOPPABLE)


@pytest.mark.parametrize("stopped", EmailPreference)
def test_token_stops_its_preference_only(student: Caller, stopped: EmailPreference) -> None:
    unsubscription.unsubscribe(token_of(student, stopped))
    unsubscription.unsubscribe(token_of(student, stopped))

    assert user_of(student).unwanted_emails == {stopped}


def test_unsubscription_is_one_write_and_one_log_line(
    student: Caller, dynamodb_calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    token = token_of(student, "reports")
    dynamodb_calls.clear()

    unsubscription.unsubscribe(token)

    assert dynamodb_calls == ["UpdateItem"]
    fields = {"user_id": student.id, "scope": "reports"}
    assert log_lines(caplog, "app.event") == [("Unsubscribed from emails", fields)]
    assert token[16:42] not in str([record.__dict__ for record in caplog.records])


def test_secret_of_another_user_stops_nothing(student: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    other = create_user(Role.STUDENT)
    token_of(student, "all")
    forged = student.id + token_of(other, "all")[16:]

    unsubscription.unsubscribe(forged)

    assert user_of(student).unwanted_emails == user_of(other).unwanted_emails == set()
    assert log_lines(caplog, "app.event") == []


def test_user_without_a_secret_cannot_be_unsubscribed(student: Caller) -> None:
    unsubscription.unsubscribe(f"{student.id}{ids.new_secret()}all")

    assert user_of(student).unwanted_emails == set()


def test_token_of_an_erased_account_changes_nothing(student: Caller) -> None:
    token = token_of(student, "all")
    users.erase(student.id)
    before = User.get_or_none(student.id)

    unsubscription.unsubscribe(token)

    after = User.get_or_none(student.id)
    assert before is not None and after is not None and after.attribute_values == before.attribute_values


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: token[1:],
        lambda token: token + "x",
        lambda token: token.upper(),
        lambda token: token[:42],
        lambda token: token[:42] + "verification",
        lambda token: token + "\n",
        lambda token: "#active-admins00" + token[16:],
        lambda token: token[:41] + "l" + token[42:],
    ],
)
def test_malformed_token_is_rejected(student: Caller, change: Callable[[str], str]) -> None:
    token = token_of(student, "all")

    with pytest.raises(InvalidInput) as raised:
        unsubscription.unsubscribe(change(token))
    assert [(field.field, field.code) for field in raised.value.fields] == [("token", "invalid_token")]
    assert token[16:42] not in str(raised.value.fields)
    assert user_of(student).unwanted_emails == set()


def test_token_survives_a_rotation_of_signing_keys(student: Caller) -> None:
    token = token_of(student, "all")

    rotate_keys.revoke_and_replace(clock.now())
    signing_keys.reset()

    assert token_of(student, "all") == token
    unsubscription.unsubscribe(token)
    assert user_of(student).unwanted_emails == {*EmailPreference}


def test_new_enrollment_keeps_emails_stopped(student: Caller) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    first, second = create_course(teacher), create_course(teacher)
    enrollment = enrollments.enroll(student, first.id)
    unsubscription.unsubscribe(token_of(student, "enrollment"))

    remove_enrollment(enrollment)
    for course in (first, second):
        enrollments.enroll(student, course.id)
    users.apply_changes(student.id, {"email": "new@example.org"})

    assert not unsubscription.wants(user_of(student), EmailKind.ENROLLMENT)


@pytest.mark.parametrize("kind", STOPPABLE)
def test_unsubscribe_url_names_the_preference(student: Caller, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    monkeypatch.setitem(settings().__dict__, "api_url", "https://school.example/lms")

    url = unsubscription.unsubscribe_url(user_of(student), kind)

    token = token_of(student, STOPPABLE[kind])
    assert url == f"https://school.example/lms/api/v1/notifications/unsubscribe/?token={token}"


def test_unsubscribe_url_needs_the_address_of_the_api(student: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_URL")
    settings().__dict__.pop("api_url", None)
    with pytest.raises(ConfigurationError, match="API_URL"):
        unsubscription.unsubscribe_url(user_of(student), EmailKind.REPORT)
    assert user_of(student).unsubscribe_secret is None
