"""What entries say, which acts have none, and entries of acts that DynamoDB has no part in."""

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from pynamodb.exceptions import PutError

from chalicelib.adapters import aws as aws_clients
from chalicelib.adapters import sqs
from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock
from chalicelib.core.audit import OPERATOR, Action
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailPreference
from chalicelib.core.roles import Role
from chalicelib.models.audit import AuditEntry
from chalicelib.models.base import ConditionFailed
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.throttles import Quota, Throttle
from chalicelib.security.access import ROUTE_ACCESS
from chalicelib.services import (
    accounts,
    audit,
    cascade_deletion,
    courses,
    enrollments,
    lessons,
    notifications,
    place_settlement,
    users,
    waitlist,
)
from ops import cli, dead_letters, rotate_keys
from tests.factories import create_course, create_user
from tests.unit.audited_acts import LESSON
from tests.unit.conftest import log_lines


@pytest.fixture
def admin(aws: None) -> Caller:
    admin = create_user(Role.ADMIN)
    for entry in AuditEntry.scan():
        entry.delete()
    return admin


def recorded() -> list[tuple[str, dict[str, Any]]]:
    """Return action and changes of all entries, oldest first."""
    entries = sorted(AuditEntry.scan(), key=lambda entry: str(entry.sort_key))
    return [(str(entry.action), entry.changes) for entry in entries]


def test_each_field_of_a_change_has_its_entry(admin: Caller) -> None:
    student = create_user(Role.STUDENT)

    users.update(admin, student.id, {"role": Role.ADMIN, "is_active": False, "email": "new@example.org"})

    assert sorted(recorded()) == [
        ("user.deactivated", {"is_active": [True, False]}),
        ("user.email_changed", {"email": True}),
        ("user.role_changed", {"role": ["student", "admin"]}),
    ]
    assert len({entry.at for entry in AuditEntry.scan()}) == 3


def test_only_changed_fields_have_an_entry(admin: Caller) -> None:
    student = create_user(Role.STUDENT)

    users.update(admin, student.id, {"role": Role.STUDENT, "is_active": False})

    assert recorded() == [("user.deactivated", {"is_active": [True, False]})]


def test_published_and_edited_course_has_two_entries(admin: Caller) -> None:
    course = create_course(create_user(Role.INSTRUCTOR), is_published=False)

    courses.update(admin, course.id, {"title": "A title", "description": "New", "is_published": True}, None)

    assert sorted(recorded()) == [
        ("course.changed", {"description": True}),
        ("course.published", {"is_published": [False, True]}),
    ]


def test_acts_of_owners_and_students_have_no_entry(admin: Caller) -> None:
    teacher, student = create_user(Role.INSTRUCTOR), create_user(Role.STUDENT)
    for owner in (teacher, admin):
        course = create_course(owner)
        lesson = lessons.create(owner, course.id, LESSON)
        lessons.update(owner, lesson.id, {"title": "Another title"}, None)
        lessons.delete(owner, lesson.id, None)
        courses.update(owner, course.id, {"title": "Knots"}, None)
        enrollment = enrollments.enroll(student, course.id)
        enrollments.withdraw(student, enrollment.id)
        courses.update(owner, course.id, {"is_published": False}, None)
        courses.delete(owner, course.id, None)
    accounts.change_email(student, "new@example.org")
    notifications.change_preferences(student, {EmailPreference.REPORTS: False})

    assert recorded() == []


def test_owner_who_changes_the_capacity_has_an_entry(admin: Caller) -> None:
    """It decides who gets access."""
    teacher = create_user(Role.INSTRUCTOR)
    course = create_course(teacher, capacity=2)

    courses.update(teacher, course.id, {"title": "Knots", "capacity": 3, "waitlist": 1}, None)
    courses.update(teacher, course.id, {"capacity": None}, None)

    assert recorded() == [
        ("capacity.changed", {"capacity": [2, 3], "waitlist": [0, 1]}),
        ("capacity.changed", {"capacity": [3, None]}),
    ]


def test_entry_names_what_was_deleted_when_a_place_arrives(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student gets a place between the read of the waiting entry and its deletion."""
    course = create_course(create_user(Role.INSTRUCTOR), capacity=1, waitlist=1)
    first, second = create_user(Role.STUDENT), create_user(Role.STUDENT)
    place, waiting = enrollments.enroll(first, course.id), enrollments.enroll_or_wait(second, course.id)
    find = Enrollment.find

    def promote_after_reading(enrollment_id: str) -> Enrollment | None:
        row = find(enrollment_id)
        monkeypatch.setattr(Enrollment, "find", find)
        enrollments.withdraw(first, place.id)
        [*place_settlement.settle(course.id, 0)]
        return row

    monkeypatch.setattr(Enrollment, "find", promote_after_reading)

    waitlist.leave(admin, waiting.id)

    assert recorded() == [("enrollment.ended", {})]


def test_cascade_of_an_erasure_has_no_entries_of_its_own(admin: Caller) -> None:
    """The entry of the erasure covers what the erasure deletes."""
    teacher = create_user(Role.INSTRUCTOR)
    create_course(teacher, is_published=False)
    users.delete(admin, teacher.id)

    [*cascade_deletion.delete_dependents(CascadeTarget.USER, teacher.id, clock.now())]

    assert [action for action, _ in recorded()] == ["user.erased"]


# Decided one by one: a new route or command has to be added here, and to the table in docs/security.md.
AUDITED_ROUTES = """
PATCH /users/{user_id}, DELETE /users/{user_id}, DELETE /auth/me, POST /auth/password, POST /auth/password/reset,
PUT /courses/{course_id}, PATCH /courses/{course_id}, DELETE /courses/{course_id}, POST /lessons,
PUT /lessons/{lesson_id}, PATCH /lessons/{lesson_id}, DELETE /lessons/{lesson_id}, DELETE /enrollments/{enrollment_id},
DELETE /waitlist/{entry_id}
"""
OTHER_ROUTES = """
POST /auth/register, POST /auth/login, POST /auth/refresh, POST /auth/logout, POST /auth/password/forgot,
POST /auth/email/verification, POST /auth/email/verify, PATCH /auth/me, PATCH /auth/me/notifications,
POST /notifications/unsubscribe, POST /courses, POST /enrollments
"""
AUDITED_COMMANDS = "create-admin unlock demo redrive replay-erasures rotate-keys"
OTHER_COMMANDS = "audit run queue emails email reindex enrollment user logs"


def test_every_route_that_writes_is_classified() -> None:
    writing = {f"{method} {path.removeprefix('/api/v1')}" for method, path in ROUTE_ACCESS if method != "GET"}

    assert {route.strip() for route in f"{AUDITED_ROUTES},{OTHER_ROUTES}".split(",")} == writing


def test_every_command_is_classified() -> None:
    [commands] = [action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)]

    assert {*AUDITED_COMMANDS.split(), *OTHER_COMMANDS.split()} == set(commands.choices)


def test_lifted_locks_of_very_many_addresses_are_one_act(admin: Caller) -> None:
    subjects = [f"user#{admin.id}#{number}" for number in range(120)]
    for subject in subjects:
        Throttle.reserve(Quota(subject, 10, 900), int(time.time()))
    entry = audit.entry(OPERATOR, Action.USER_UNLOCKED, admin.id)

    assert Throttle.delete_all(subjects, entry.add_to) == 120
    assert Throttle.delete_all(subjects, entry.add_to) == 0

    assert recorded() == [("user.unlocked", {})]


def test_entry_is_kept_for_the_days_of_the_stage(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    monkeypatch.setattr("chalicelib.core.clock.now", lambda: now)

    default = audit.entry(OPERATOR, Action.USER_UNLOCKED, admin.id)
    monkeypatch.setitem(settings().__dict__, "audit_days", 30)
    shorter = audit.entry(OPERATOR, Action.USER_UNLOCKED, admin.id)

    assert (default.expires_at - now.timestamp()) / 86400 == 400
    assert (shorter.expires_at - now.timestamp()) / 86400 == 30


def test_entry_overwrites_none(admin: Caller) -> None:
    entry = audit.entry(OPERATOR, Action.USER_UNLOCKED, admin.id)
    audit.save(entry)
    entry.action = Action.USER_ERASED.value

    with pytest.raises(ConditionFailed):
        audit.save(entry)

    assert recorded() == [("user.unlocked", {})]


def test_rotation_has_an_entry_before_and_one_after(admin: Caller) -> None:
    key_id = rotate_keys.rotate(clock.now())
    with pytest.raises(rotate_keys.RotationInProgress):
        rotate_keys.rotate(clock.now())

    changes = {"key_id": ["1970-01-01T00:00:00Z", key_id]}
    assert recorded() == [("keys.rotation_started", changes), ("keys.rotated", changes)]
    assert {(entry.subject_kind, entry.subject, entry.via) for entry in AuditEntry.scan()} == {
        ("keys", "signing-keys", "operator")
    }


def test_failed_rotation_has_the_first_entry_only(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(service: str) -> Any:
        raise RuntimeError("Secrets Manager is not reachable")

    monkeypatch.setattr(aws_clients, "client", fail)
    with pytest.raises(RuntimeError):
        rotate_keys.revoke_and_replace(clock.now())

    [(action, changes)] = recorded()
    assert (action, changes["earlier_keys"]) == ("keys.rotation_started", True)


def test_key_is_not_replaced_without_an_entry(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(entry: AuditEntry) -> None:
        raise PutError

    monkeypatch.setattr(audit, "save", fail)
    keys = boto3.client("secretsmanager").get_secret_value(SecretId=settings().signing_keys_secret)["SecretString"]
    with pytest.raises(PutError):
        rotate_keys.revoke_and_replace(clock.now())

    stored = boto3.client("secretsmanager").get_secret_value(SecretId=settings().signing_keys_secret)["SecretString"]
    assert stored == keys


def test_redrive_has_an_entry_before_and_one_after(admin: Caller) -> None:
    for number in range(12):
        boto3.client("sqs").send_message(QueueUrl=sqs.queue_url("emails-dead"), MessageBody=str(number))

    for name in dead_letters.QUEUES:
        [*dead_letters.redrive(name)]

    assert recorded() == [("queue.redrive_started", {}), ("queue.redriven", {"moved": [0, 12]})]
    assert {(entry.subject_kind, entry.subject) for entry in AuditEntry.scan()} == {("queue", "emails")}


def test_error_of_a_redrive_is_not_hidden_by_that_of_its_entry(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def redrive_and_fail(name: str) -> Iterator[int]:
        yield 1
        raise dead_letters.RedriveError("rejected")

    monkeypatch.setattr(dead_letters, "_redrive", redrive_and_fail)
    monkeypatch.setattr(audit, "save", Mock(side_effect=PutError))

    with pytest.raises(dead_letters.RedriveError, match="rejected"):
        [*dead_letters.redrive(sqs.EMAILS)]
    assert ("The audit log has no entry of the moved messages", {"queue": "emails", "moved": 1}) in log_lines(
        caplog, "app.error"
    )


def test_entry_before_a_redrive_precedes_the_first_message(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("sqs")
    client.send_message(QueueUrl=sqs.queue_url("emails-dead"), MessageBody="one")
    at_send = list[list[tuple[str, dict[str, Any]]]]()
    send = client.send_message_batch

    def send_message_batch(**request: Any) -> Any:
        at_send.append(recorded())
        return send(**request)

    monkeypatch.setattr(client, "send_message_batch", send_message_batch)
    monkeypatch.setattr(aws_clients, "client", lambda *_, **__: client)
    [*dead_letters.redrive(sqs.EMAILS)]

    assert at_send == [[("queue.redrive_started", {})]]


def test_role_of_the_actor_is_that_of_the_act(admin: Caller) -> None:
    other = create_user(Role.ADMIN)
    course = create_course(create_user(Role.INSTRUCTOR))
    courses.delete(other, course.id, None)
    users.update(admin, other.id, {"role": Role.STUDENT})

    roles = {(str(entry.actor), entry.actor_role) for entry in AuditEntry.scan() if entry.via == "api"}
    assert roles == {(other.id, "admin"), (admin.id, "admin")}
