"""No write outlives the role and state of the account that makes it."""

from collections.abc import Callable

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.errors import Forbidden, NotAuthenticated
from chalicelib.core.roles import Role
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.services import accounts, courses, enrollments, users
from tests.clients import PASSWORD
from tests.factories import create_course, create_user

Change = Callable[[Caller, Caller], object]

CHANGES: dict[str, Change] = {
    "demoted": lambda admin, of: users.update(admin, of.id, {"role": "student"}),
    "deactivated": lambda admin, of: users.update(admin, of.id, {"is_active": False}),
    "erased": lambda admin, of: users.erase(of.id),
}


@pytest.fixture
def admin(aws: None) -> Caller:
    return create_user(Role.ADMIN)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("is_published", [False, True])
def test_outdated_instructor_creates_no_course(admin: Caller, change: Change, is_published: bool) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    change(admin, teacher)

    with pytest.raises(NotAuthenticated, match="changed or erased") as refused:
        create_course(teacher, is_published=is_published)

    assert refused.value.is_token_invalid


@pytest.mark.parametrize("change", [CHANGES["demoted"], CHANGES["deactivated"]], ids=["demoted", "deactivated"])
def test_outdated_instructor_publishes_no_course(admin: Caller, change: Change) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    course = create_course(teacher, is_published=False)
    change(admin, teacher)

    with pytest.raises(NotAuthenticated):
        courses.update(teacher, course.id, {"is_published": True}, None)
    assert not courses.get(admin, course.id).is_published
    user = User.find(teacher.id)
    assert user is not None and user.published_courses == 0

    courses.update(admin, course.id, {"is_published": True}, None)
    assert courses.get(admin, course.id).is_published, "an admin publishes for the owner"


def test_outdated_instructor_still_unpublishes(admin: Caller) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    course = create_course(teacher)
    users.update(admin, teacher.id, {"is_active": False})

    courses.update(teacher, course.id, {"is_published": False}, None)

    assert not courses.get(admin, course.id).is_published


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_outdated_admin_publishes_no_course(admin: Caller, change: Change) -> None:
    former, teacher = create_user(Role.ADMIN), create_user(Role.INSTRUCTOR)
    course = create_course(teacher, is_published=False)
    change(admin, former)

    with pytest.raises(NotAuthenticated):
        courses.update(former, course.id, {"is_published": True}, None)

    assert not courses.get(admin, course.id).is_published


@pytest.mark.parametrize(
    "change",
    [
        lambda admin, of: users.update(admin, of.id, {"role": "instructor"}),
        CHANGES["deactivated"],
        CHANGES["erased"],
    ],
    ids=["promoted", "deactivated", "erased"],
)
def test_outdated_student_does_not_enroll(admin: Caller, change: Change) -> None:
    student = create_user(Role.STUDENT)
    course = create_course(create_user(Role.INSTRUCTOR))
    change(admin, student)

    with pytest.raises(NotAuthenticated) as refused:
        enrollments.enroll(student, course.id)

    assert refused.value.is_token_invalid
    assert Enrollment.find_by_student_and_course(student.id, course.id) is None


def test_closed_stage_registers_students_only(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "is_instructor_registration_open", False)

    with pytest.raises(Forbidden, match="ask an admin"):
        accounts.register("ada", "ada@example.org", PASSWORD, Role.INSTRUCTOR)

    assert accounts.register("ada", "ada@example.org", PASSWORD, Role.STUDENT).role == "student"


def test_taken_username_hides_the_email(aws: None) -> None:
    """A response that named both would reveal whether the address has an account."""
    create_user(Role.STUDENT, name="ada")

    for email in ("ada@example.org", "unknown@example.org"):
        with pytest.raises(Exception, match="already exists") as refused:
            accounts.register("Ada", email, PASSWORD, Role.STUDENT)
        assert [field.field for field in refused.value.fields] == ["username"]  # type: ignore[attr-defined]
