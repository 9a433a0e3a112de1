"""Writes of users that meet another write after their read: nothing is lost or restored."""

from collections.abc import Callable

import pytest

from chalicelib.core.caller import Caller
from chalicelib.models.base import ConditionFailed, StaleRead, add_nothing
from chalicelib.models.users import User
from chalicelib.services import users
from tests.factories import create_course

AT = "2026-11-22T09:30:00.000000Z"
LATER = "2026-11-22T09:31:00.000000Z"


def user_of(caller: Caller) -> User:
    user = User.find(caller.id)
    assert user is not None
    return user


@pytest.mark.parametrize(
    "write", [lambda user: user.apply({"role": "instructor"}, AT), lambda user: user.erase(AT)], ids=["change", "erase"]
)
@pytest.mark.parametrize("other", [{"is_active": False}, {"email": "new@example.org"}], ids=["state", "email"])
def test_write_of_a_changed_user_is_stale(
    student: Caller, write: Callable[[User], object], other: dict[str, object]
) -> None:
    stale = user_of(student)
    users.apply_changes(student.id, other)

    with pytest.raises(StaleRead):
        write(stale)
    kept = user_of(student)
    assert kept.role == "student"
    assert {name: getattr(kept, name) for name in other} == other


def test_change_of_an_erased_user_is_stale(student: Caller) -> None:
    stale = user_of(student)
    users.erase(student.id)

    with pytest.raises(StaleRead):
        stale.apply({"email": "back@example.org"}, AT)
    assert User.find(student.id) is None
    with pytest.raises(ConditionFailed):
        stale.change_password("a hash", add_nothing)
    tombstone = User.get_or_none(student.id)
    assert tombstone is not None
    assert [tombstone.email, tombstone.password_hash] == [None, None]


def test_owner_who_published_meanwhile_is_not_erased(owner: Caller) -> None:
    stale = user_of(owner)
    create_course(owner)

    with pytest.raises(StaleRead):
        stale.erase(AT)
    assert user_of(owner).published_courses == 1


def test_rehash_does_not_undo_a_password_change(student: Caller) -> None:
    stale = user_of(student)
    user_of(student).change_password("the hash of the new password", add_nothing)

    stale.rehash_password("the hash of the old password, by new parameters")

    assert user_of(student).password_hash == "the hash of the new password"


def test_password_change_of_a_stale_user_fails(student: Caller) -> None:
    stale = user_of(student)
    user_of(student).change_password("first", add_nothing)

    with pytest.raises(ConditionFailed):
        stale.change_password("second", add_nothing)
    assert (user_of(student).password_hash, user_of(student).auth_version) == ("first", 2)


def test_user_deactivated_again_stays_inactive(student: Caller) -> None:
    user_of(student).apply({"is_active": False}, AT)
    stale = user_of(student)
    user_of(student).apply({"is_active": True}, LATER)
    user_of(student).apply({"is_active": False}, LATER)

    stale.clear_inactive()
    assert (user_of(student).lifecycle, user_of(student).lifecycle_at) == ("inactive", LATER)

    user_of(student).clear_inactive()
    assert [user_of(student).lifecycle, user_of(student).lifecycle_at] == [None, None]


def test_inactive_user_is_found_after_the_period(student: Caller) -> None:
    user_of(student).apply({"is_active": False}, AT)

    assert User.find_inactive(student.id, LATER) is not None
    assert User.find_inactive(student.id, AT) is None
    user_of(student).apply({"is_active": True}, LATER)
    assert User.find_inactive(student.id, "9999") is None


def test_user_tombstone_is_purged_only_when_old(student: Caller) -> None:
    assert not User.purge_tombstone(student.id, "9999"), "it is no tombstone"
    user_of(student).erase(AT)

    assert not User.purge_tombstone(student.id, AT)
    assert User.get_or_none(student.id) is not None
    assert User.purge_tombstone(student.id, LATER)
    assert User.get_or_none(student.id) is None
    assert not User.purge_tombstone(student.id, LATER)
