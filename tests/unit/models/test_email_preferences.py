"""Email preferences in the rows of users: concurrent changes do not undo each other."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.core import ids
from chalicelib.core.caller import Caller
from chalicelib.core.email_kinds import EmailPreference
from chalicelib.models.base import StaleRead, add_nothing
from chalicelib.models.users import User
from chalicelib.services import users
from tests.unit.models.test_user_writes import user_of

WANTS_ALL = dict.fromkeys(EmailPreference, True)


def test_every_preference_has_its_attribute(student: Caller) -> None:
    for name in EmailPreference:
        changed = User.set_email_preferences(student.id, {name}, set())

        assert changed is not None and changed.email_preferences == WANTS_ALL | {name: False}
        assert user_of(student).unwanted_emails == {name}
        User.set_email_preferences(student.id, set(), {name})

    assert user_of(student).unwanted_emails == set()


def test_change_returns_the_whole_user(student: Caller) -> None:
    changed = User.set_email_preferences(student.id, {"reports"}, {"waitlist"})

    assert changed is not None
    assert changed.attribute_values == user_of(student).attribute_values


def test_preferences_survive_a_change_by_a_stale_user(student: Caller) -> None:
    stale = user_of(student)
    User.set_email_preferences(student.id, {"reports"}, set())

    stale.change_password("a hash", add_nothing)
    stale.auth_version += 1
    stale.apply({"email": "new@example.org"}, "2026-11-22T09:30:00.000000Z")

    assert user_of(student).unwanted_emails == {"reports"}


def test_erasure_removes_preferences_and_secret(student: Caller) -> None:
    User.set_email_preferences(student.id, {*EmailPreference}, set())
    stale = user_of(student)
    secret = user_of(student).ensure_unsubscribe_secret()

    users.erase(student.id)

    tombstone = User.get_or_none(student.id)
    assert tombstone is not None
    assert {name for name in User.EMAIL_ATTRIBUTES if getattr(tombstone, name) is not None} == set()
    assert User.set_email_preferences(student.id, {"reports"}, set()) is None
    assert User.set_email_preferences(student.id, {"reports"}, set(), secret=secret) is None
    with pytest.raises(StaleRead):
        stale.ensure_unsubscribe_secret()
    again = User.get_or_none(student.id)
    assert again is not None and again.attribute_values == tombstone.attribute_values


def test_preferences_of_an_unknown_user_create_no_row(aws: None) -> None:
    assert User.set_email_preferences("0" * 16, {"reports"}, set()) is None
    assert User.get_or_none("0" * 16) is None


def test_secret_is_created_once(student: Caller, dynamodb_calls: list[str]) -> None:
    first = user_of(student)
    secret = first.ensure_unsubscribe_secret()
    dynamodb_calls.clear()

    assert first.ensure_unsubscribe_secret() == secret
    assert dynamodb_calls == []
    assert user_of(student).ensure_unsubscribe_secret() == secret
    assert len(secret) == ids.SECRET_LENGTH == 26 and set(secret) <= set(ids.ALPHABET)


def test_concurrent_workers_get_the_same_secret(student: Caller) -> None:
    stale = [user_of(student) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        secrets = {*pool.map(User.ensure_unsubscribe_secret, stale)}

    assert secrets == {user_of(student).unsubscribe_secret}


def test_secrets_of_users_differ() -> None:
    assert len({ids.new_secret() for _ in range(100)}) == 100
