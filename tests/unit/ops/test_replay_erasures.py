"""After a restore: users who were erased since are erased again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.identities import Identity
from chalicelib.models.ledger import LedgerEntry
from chalicelib.models.users import User
from chalicelib.services import courses, users
from ops import replay_erasures
from tests.factories import create_course, create_user

TABLES = ("users", "identities")


def rows() -> dict[str, list[dict[str, Any]]]:
    dynamodb = boto3.client("dynamodb")
    return {table: dynamodb.scan(TableName=f"eduflow-{table}-test")["Items"] for table in TABLES}


def restore(backup: dict[str, list[dict[str, Any]]]) -> None:
    dynamodb = boto3.client("dynamodb")
    for table, items in backup.items():
        for item in items:
            dynamodb.put_item(TableName=f"eduflow-{table}-test", Item=item)


def replay(since: timedelta = timedelta(hours=1)) -> replay_erasures.Replay:
    now = clock.now()
    return [replay_erasures.Replay(), *replay_erasures.run(now - since, now)][-1]


@pytest.fixture
def student(aws: None) -> Caller:
    return create_user(Role.STUDENT, name="ada")


def test_restored_user_is_erased_again(student: Caller) -> None:
    kept = create_user(Role.STUDENT)
    backup = rows()
    users.erase(student.id)
    restore(backup)
    assert User.find(student.id) is not None

    found = replay()

    assert (found.found, found.erased, found.refused) == (1, 1, {})
    assert len([*LedgerEntry.scan(LedgerEntry.entry.startswith("user-deleted#"))]) == 1, "reports count it once"
    assert User.find(student.id) is None
    assert Identity.find_user_id("ada") is None
    assert User.find(kept.id) is not None


def test_remains_of_erased_users_are_queued_for_deletion(student: Caller) -> None:
    """Their enrollments may have been restored although they were not."""
    users.erase(student.id)
    queue = boto3.client("sqs").get_queue_url(QueueName="eduflow-deletions-test")["QueueUrl"]
    sqs = boto3.client("sqs")
    sqs.purge_queue(QueueUrl=queue)

    found = replay()

    assert (found.found, found.erased) == (1, 0)
    waiting = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert waiting["ApproximateNumberOfMessagesDelayed"] == "1"


def test_erasures_before_the_time_are_not_repeated(student: Caller) -> None:
    users.erase(student.id)

    assert replay(timedelta(0)).found == 0


def test_restored_owner_of_published_courses_is_named(aws: None) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    course = create_course(teacher)
    backup = rows()
    courses.update(teacher, course.id, {"is_published": False}, None)
    users.erase(teacher.id)
    restore(backup)

    found = replay()

    assert (found.found, found.erased) == (1, 0)
    assert found.refused == {teacher.id: "The account owns published courses: unpublish or delete them first."}
    assert User.find(teacher.id) is not None


def test_erasures_of_several_days_are_found(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    erased = []
    for days in (36, 20, 1, 0):
        user = create_user(Role.STUDENT)
        at = now - timedelta(days=days, hours=1)
        monkeypatch.setattr(clock, "now", lambda at=at: at)
        users.erase(user.id)
        erased.append(user.id)

    found = [user_id for _, user_id in replay_erasures._erased_since(now - timedelta(days=35), now)]
    assert found == erased[1:]
