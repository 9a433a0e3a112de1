"""The rules of the services, without AWS: models are values, and their writes are fakes."""

from typing import Any
from unittest.mock import Mock

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, DomainError, Forbidden, InvalidInput, NotAuthenticated, NotFound
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.base import StaleRead
from chalicelib.models.courses import Course, WriterOutdated
from chalicelib.models.enrollments import AlreadyEnrolled, Enrollment
from chalicelib.models.identities import Identity
from chalicelib.models.users import IdentityTaken, LastAdmin, OwnsPublishedCourses, User
from chalicelib.services import accounts, course_cache, courses, enrollments, reports, users

pytestmark = pytest.mark.usefixtures("no_aws")

OWNER = Caller("a" * 16, "owner", Role.INSTRUCTOR, "s")
OTHER = Caller("b" * 16, "other", Role.INSTRUCTOR, "s")
STUDENT = Caller("c" * 16, "student", Role.STUDENT, "s")
ADMIN = Caller("d" * 16, "admin", Role.ADMIN, "s")
FORMER = Caller("a" * 16, "owner", Role.STUDENT, "s")  # the owner, demoted
FIELDS: dict[str, Any] = {"title": "Title", "description": "", "price_cents": 0, "is_published": True}


def course(is_published: bool) -> Course:
    at = "2026-11-22T09:30:00.000000Z"
    return Course("e" * 16, owner_id=OWNER.id, owner="owner", created_at=at, updated_at=at, version=1,
                  **FIELDS | {"is_published": is_published})  # fmt: skip


@pytest.mark.parametrize(
    ("caller", "published", "draft", "edit"),
    [
        (None, True, False, False),
        (STUDENT, True, False, False),
        (OTHER, True, False, False),
        (FORMER, True, False, False),
        (OWNER, True, True, True),
        (ADMIN, True, True, True),
    ],
    ids=lambda value: value.username if isinstance(value, Caller) else str(value),
)
def test_course_visibility_and_editing(caller: Caller | None, published: bool, draft: bool, edit: bool) -> None:
    assert courses.can_view(caller, course(is_published=True)) is published
    assert courses.can_view(caller, course(is_published=False)) is draft
    if caller:
        assert courses.can_edit(caller, course(is_published=True)) is edit


def test_visible_listings_depend_on_the_role() -> None:
    assert courses.visible_listings(ADMIN) == ["all"]
    assert courses.visible_listings(OWNER) == ["published", f"owner#{OWNER.id}"]
    assert courses.visible_listings(STUDENT) == courses.visible_listings(None) == ["published"]


def test_student_cannot_create_a_course() -> None:
    with pytest.raises(Forbidden):
        courses.create(STUDENT, FIELDS)


def test_course_of_an_erased_owner_is_not_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Course, "create", Mock(side_effect=WriterOutdated))

    with pytest.raises(NotAuthenticated):
        courses.create(OWNER, FIELDS)


def test_stale_course_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Course, "find", Mock(side_effect=lambda _: course(is_published=True)))
    replace = Mock(side_effect=[StaleRead(), None])
    monkeypatch.setattr(Course, "replace", replace)

    updated = courses.update(OWNER, "e" * 16, {"title": "New"}, None)

    assert (updated.title, updated.version, replace.call_count) == ("New", 2, 2)


@pytest.mark.parametrize("caller", [OTHER, STUDENT, FORMER], ids=lambda caller: caller.username)
def test_course_of_another_owner_cannot_be_updated(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Course, "find", lambda _: course(is_published=True))
    with pytest.raises(Forbidden):
        courses.update(caller, "e" * 16, {"title": "New"}, None)

    monkeypatch.setattr(Course, "find", lambda _: course(is_published=False))
    with pytest.raises(NotFound):
        courses.update(caller, "e" * 16, {"title": "New"}, None)


@pytest.mark.parametrize("caller", [OWNER, ADMIN], ids=lambda caller: caller.username)
def test_only_students_can_enroll(caller: Caller) -> None:
    with pytest.raises(Forbidden):
        enrollments.enroll(caller, "e" * 16)


def test_draft_and_unknown_course_are_not_enrollable(monkeypatch: pytest.MonkeyPatch) -> None:
    for found in (None, course(is_published=False)):
        monkeypatch.setattr(course_cache, "get", lambda _, found=found: found)
        with pytest.raises(InvalidInput):
            enrollments.enroll(STUDENT, "e" * 16)


def test_second_enrollment_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course_cache, "get", lambda _: course(is_published=True))
    monkeypatch.setattr(Enrollment, "insert", Mock(side_effect=AlreadyEnrolled))

    with pytest.raises(Conflict):
        enrollments.enroll(STUDENT, "e" * 16)


def test_student_lists_no_enrollments_of_others() -> None:
    page = enrollments.list_enrollments(STUDENT, PageRequest(20), course=None, student=OTHER.id)

    assert page.items == []


@pytest.mark.parametrize(
    ("caller", "error"), [(OWNER, Forbidden), (OTHER, Forbidden), (Caller("f" * 16, "x", Role.STUDENT, "s"), NotFound)]
)
def test_enrollment_is_deleted_by_student_or_admin(
    caller: Caller, error: type[DomainError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Enrollment, "find", lambda _: Enrollment.new(STUDENT.id, "e" * 16, "now", "r", "1" * 8))
    delete = Mock(return_value=1)
    monkeypatch.setattr(Enrollment, "delete_batch", delete)

    with pytest.raises(error):
        enrollments.withdraw(caller, "id")
    assert not delete.called
    enrollments.withdraw(STUDENT, "id")
    enrollments.withdraw(ADMIN, "id")
    assert delete.call_count == 2


def test_admin_role_cannot_be_self_assigned() -> None:
    with pytest.raises(InvalidInput, match="invalid") as error:
        accounts.register("ada", "ada@example.org", "a good password", Role.ADMIN)

    assert error.value.fields[0].message == "The role `admin` cannot be self-assigned."


def test_taken_identities_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Identity, "find_user_id", Mock(return_value=None))
    monkeypatch.setattr(User, "create", Mock(side_effect=IdentityTaken(frozenset({"email"}))))

    with pytest.raises(Conflict) as error:
        accounts.register("ada", "ada@example.org", "sphinx of black quartz", Role.STUDENT)

    assert [field.field for field in error.value.fields] == ["email"]


@pytest.mark.parametrize("caller", [OWNER, STUDENT], ids=lambda caller: caller.username)
def test_user_and_report_routes_are_for_admins(caller: Caller) -> None:
    for call in (
        lambda: users.list_users(caller, PageRequest(20)),
        lambda: users.get(caller, STUDENT.id),
        lambda: users.update(caller, STUDENT.id, {}),
        lambda: users.delete(caller, STUDENT.id),
        lambda: reports.list_reports(caller, None, None, PageRequest(20)),
    ):
        with pytest.raises(Forbidden):
            call()


@pytest.mark.parametrize("failure", [LastAdmin, OwnsPublishedCourses])
def test_account_that_must_stay_is_a_conflict(failure: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(User, "find", lambda _: User(ADMIN.id))
    monkeypatch.setattr(User, "erase", Mock(side_effect=failure))

    with pytest.raises(Conflict):
        users.erase(ADMIN.id)
