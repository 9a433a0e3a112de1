"""All acts that the audit log records in their own transactions: how each is done and refused, and its effect."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from chalicelib.core.audit import Action
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.audit import AuditEntry
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.identities import Identity
from chalicelib.models.lessons import Lesson
from chalicelib.models.throttles import Quota, Throttle
from chalicelib.models.tickets import Ticket, TicketKind
from chalicelib.models.users import User
from chalicelib.services import account_recovery, accounts, courses, enrollments, lessons, users, waitlist
from ops import commands
from tests.clients import PASSWORD, unique
from tests.factories import create_course, create_user

NEW_PASSWORD = "jackdaws love my sphinx"
HOME = "192.0.2.7"
SECRET = "s" * 26
LESSON: dict[str, Any] = {"title": "A lesson", "content": "Private", "duration_min": 5, "order_index": 1}


@dataclass
class Target:
    """What an act is done to: a user, a course, a lesson or an enrollment, and who may not do it."""

    id: str
    outsider: Caller
    user: Caller | None = None
    name: str = ""

    @property
    def owner(self) -> Caller:
        """The user that the target is."""
        assert self.user is not None
        return self.user


def a_user(role: Role = Role.STUDENT) -> Target:
    user = create_user(role)
    return Target(user.id, create_user(Role.INSTRUCTOR), user, user.username)


def an_inactive_user() -> Target:
    target = a_user()
    User(target.id).update([User.is_active.set(False)])
    return target


def a_locked_user() -> Target:
    target = a_user()
    Throttle.reserve(Quota(f"user#{target.id}", 10, 900), int(time.time()))
    return target


def a_user_with_a_ticket() -> Target:
    target = a_user()
    user = user_of(target)
    Ticket.replace(TicketKind.RESET, user, SECRET, int(time.time()) + 1800)
    return target


def a_name() -> Target:
    return Target("", create_user(Role.INSTRUCTOR), name=unique("admin"))


def a_course(is_published: bool = True) -> Target:
    return Target(create_course(create_user(Role.INSTRUCTOR), is_published=is_published).id, create_user(Role.STUDENT))


def a_draft() -> Target:
    return a_course(is_published=False)


def a_lesson() -> Target:
    owner = create_user(Role.INSTRUCTOR)
    lesson = lessons.create(owner, create_course(owner).id, LESSON)
    return Target(lesson.id, create_user(Role.STUDENT))


def an_enrollment() -> Target:
    student = create_user(Role.STUDENT)
    enrollment = enrollments.enroll(student, create_course(create_user(Role.INSTRUCTOR)).id)
    return Target(enrollment.id, create_user(Role.INSTRUCTOR))


def a_course_with_places() -> Target:
    course = create_course(create_user(Role.INSTRUCTOR), capacity=1, waitlist=3)
    return Target(course.id, create_user(Role.STUDENT))


def a_place() -> Target:
    course = a_course_with_places()
    return Target(enrollments.enroll(create_user(Role.STUDENT), course.id).id, create_user(Role.INSTRUCTOR))


def a_waiting_entry() -> Target:
    course = a_course_with_places()
    enrollments.enroll(create_user(Role.STUDENT), course.id)
    return Target(enrollments.enroll_or_wait(create_user(Role.STUDENT), course.id).id, create_user(Role.INSTRUCTOR))


def user_of(target: Target) -> User:
    user = User.get_or_none(target.id)
    assert user is not None
    return user


def course_of(target: Target) -> Course:
    course = Course.get_or_none(target.id)
    assert course is not None
    return course


def with_published_course(owner: Caller) -> Caller:
    create_course(owner)
    return owner


def unlock(by: Caller, target: Target) -> None:
    commands.unlock(argparse.Namespace(name=target.name))


def id_of(target: Target) -> str:
    return target.id


@dataclass(frozen=True)
class Act:
    """One act. ``do`` is called with who does it; an act of operators or of users themselves has its own actor."""

    action: Action
    prepare: Callable[[], Target]
    do: Callable[[Caller, Target], object]
    has_happened: Callable[[Target], bool]
    changes: dict[str, Any] = field(default_factory=dict)
    actor: str = "admin"  # or "operator", or "self"
    subject: Callable[[Target], str] = id_of
    of_race: int = 1  # how many of 12 at once happen
    refuse: Callable[[Target], object] | None = None  # by default, the outsider does it
    label: str = ""

    def __str__(self) -> str:
        return self.label or self.action.value

    def entries(self, target: Target) -> list[AuditEntry]:
        """The entries of this act on a target."""
        subject = self.subject(target)
        return [
            each for each in AuditEntry.scan() if subject and each.subject == subject and each.action == self.action
        ]


def change_user(**fields: Any) -> Callable[[Caller, Target], object]:
    return lambda by, target: users.update(by, target.id, fields)


def change_course(**fields: Any) -> Callable[[Caller, Target], object]:
    return lambda by, target: courses.update(by, target.id, fields, None)


def has(table: Callable[[Target], Any], **values: Any) -> Callable[[Target], bool]:
    return lambda target: all(getattr(table(target), name) == value for name, value in values.items())


def lessons_of(target: Target) -> int:
    return len([*Lesson.all_of_course(target.id)])


ACTS = [
    Act(
        Action.USER_ROLE_CHANGED,
        a_user,
        change_user(role=Role.INSTRUCTOR),
        has(user_of, role="instructor"),
        {"role": ["student", "instructor"]},
    ),
    Act(
        Action.USER_EMAIL_CHANGED,
        a_user,
        lambda by, target: users.update(by, target.id, {"email": f"new.{target.name}@example.org"}),
        lambda target: str(user_of(target).email).startswith("new."),
        {"email": True},
    ),
    Act(
        Action.USER_DEACTIVATED,
        a_user,
        change_user(is_active=False),
        has(user_of, is_active=False),
        {"is_active": [True, False]},
    ),
    Act(
        Action.USER_REACTIVATED,
        an_inactive_user,
        change_user(is_active=True),
        has(user_of, is_active=True),
        {"is_active": [False, True]},
    ),
    Act(
        Action.USER_ERASED,
        a_user,
        lambda by, target: users.delete(by, target.id),
        lambda target: User.find(target.id) is None,
    ),
    Act(
        Action.USER_ERASED,
        a_user,
        lambda by, target: accounts.erase(target.owner),
        lambda target: User.find(target.id) is None,
        actor="self",
        refuse=lambda target: accounts.erase(with_published_course(target.outsider)),
        label="user.erased by themselves",
    ),
    Act(
        Action.USER_ERASED,
        a_user,
        lambda by, target: users.erase(target.id),
        lambda target: User.find(target.id) is None,
        actor="operator",
        refuse=lambda target: users.erase(with_published_course(target.outsider).id),
        label="user.erased after a restore",
    ),
    Act(
        Action.USER_CREATED,
        a_name,
        lambda by, target: accounts.create_admin(target.name, f"{target.name}@example.org", PASSWORD),
        lambda target: Identity.find_user_id(target.name) is not None,
        {"role": [None, "admin"]},
        actor="operator",
        subject=lambda target: Identity.find_user_id(target.name) or "",
        refuse=lambda target: accounts.create_admin(target.outsider.username, "new@example.org", PASSWORD),
    ),
    Act(
        Action.USER_UNLOCKED,
        a_locked_user,
        unlock,
        lambda target: Throttle.find(f"user#{target.id}") is None,
        actor="operator",
        refuse=lambda target: commands.unlock(argparse.Namespace(name=target.outsider.username)),
    ),
    Act(
        Action.PASSWORD_CHANGED,
        a_user,
        lambda by, target: accounts.change_password(target.owner, PASSWORD, NEW_PASSWORD, HOME),
        has(user_of, auth_version=2),
        actor="self",
        refuse=lambda target: accounts.change_password(target.owner, "wrong", NEW_PASSWORD, HOME),
    ),
    Act(
        Action.PASSWORD_RESET,
        a_user_with_a_ticket,
        lambda by, target: account_recovery.reset_password(target.id + SECRET, NEW_PASSWORD, HOME),
        has(user_of, auth_version=2),
        actor="self",
        refuse=lambda target: account_recovery.reset_password(target.id + "x" * 26, NEW_PASSWORD, HOME),
    ),
    Act(
        Action.COURSE_PUBLISHED,
        a_draft,
        change_course(is_published=True),
        has(course_of, is_published=True),
        {"is_published": [False, True]},
    ),
    Act(
        Action.COURSE_UNPUBLISHED,
        a_course,
        change_course(is_published=False),
        has(course_of, is_published=False),
        {"is_published": [True, False]},
    ),
    Act(
        Action.COURSE_CHANGED,
        a_course,
        change_course(title="Knots", price_cents=4990),
        has(course_of, title="Knots", price_cents=4990),
        {"title": True, "price_cents": [0, 4990]},
    ),
    Act(
        Action.CAPACITY_CHANGED,
        a_course_with_places,
        change_course(capacity=5, waitlist=7),
        has(course_of, capacity=5, waitlist=7),
        {"capacity": [1, 5], "waitlist": [3, 7]},
    ),
    Act(
        Action.COURSE_DELETED,
        a_course,
        lambda by, target: courses.delete(by, target.id, None),
        lambda target: Course.find(target.id) is None,
    ),
    Act(
        Action.LESSON_CREATED,
        a_course,
        lambda by, target: lessons.create(by, target.id, LESSON),
        lambda target: lessons_of(target) > 0,
        subject=lambda target: next((lesson.id for lesson in Lesson.all_of_course(target.id)), ""),
        of_race=12,
    ),
    Act(
        Action.LESSON_CHANGED,
        a_lesson,
        lambda by, target: lessons.update(by, target.id, {"content": "New", "duration_min": 9}, None),
        lambda target: getattr(Lesson.find(target.id), "content", "") == "New",
        {"content": True, "duration_min": [5, 9]},
    ),
    Act(
        Action.LESSON_DELETED,
        a_lesson,
        lambda by, target: lessons.delete(by, target.id, None),
        lambda target: Lesson.find(target.id) is None,
    ),
    Act(
        Action.ENROLLMENT_ENDED,
        an_enrollment,
        lambda by, target: enrollments.withdraw(by, target.id),
        lambda target: Enrollment.find(target.id) is None,
    ),
    Act(
        Action.ENROLLMENT_ENDED,
        a_place,
        lambda by, target: enrollments.withdraw(by, target.id),
        lambda target: Enrollment.find(target.id) is None,
    ),
    Act(
        Action.WAITLIST_ENTRY_DELETED,
        a_waiting_entry,
        lambda by, target: waitlist.leave(by, target.id),
        lambda target: Enrollment.find(target.id) is None,
    ),
]
EACH_ACT = pytest.mark.parametrize("act", ACTS, ids=str)
