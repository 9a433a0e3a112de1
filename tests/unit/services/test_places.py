"""Courses with a capacity: joining, leaving and waiting, one request after the other."""

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, DomainError
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.waitlist import WaitlistEntry
from chalicelib.services import enrollments, place_settlement, places, waitlist
from tests.factories import create_course, create_user

PAGE = PageRequest(20)


@pytest.fixture
def owner(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


def settle(course: Course, void_through: int = 0) -> int:
    """Run the worker once, and return how many students it enrolled."""
    return sum(place_settlement.settle(course.id, void_through))


def codes(error: pytest.ExceptionInfo[DomainError]) -> list[str]:
    return [f"{field.field}: {field.code}" for field in error.value.fields]


def numbers(course: Course) -> tuple[int | None, ...]:
    counted = places.get(None, course.id)
    return counted.capacity, counted.taken, counted.left, counted.waiting


def test_course_takes_as_many_as_its_capacity(owner: Caller) -> None:
    course = create_course(owner, capacity=2, waitlist=1)
    ada, barbara, claude, dorothy = (create_user(Role.STUDENT) for _ in range(4))
    enrollments.enroll(ada, course.id)
    enrollments.enroll(barbara, course.id)

    with pytest.raises(Conflict) as full:
        enrollments.enroll(claude, course.id)
    entry = enrollments.enroll_or_wait(claude, course.id)
    with pytest.raises(Conflict) as list_full:
        enrollments.enroll_or_wait(dorothy, course.id)

    assert (codes(full), codes(list_full)) == (["course: full"], ["course: waitlist_full"])
    assert isinstance(entry, WaitlistEntry) and entry.position == 1
    assert numbers(course) == (2, 2, 0, 1)


def test_freed_place_goes_to_who_waits_first(owner: Caller) -> None:
    course = create_course(owner, capacity=1, waitlist=5)
    ada, barbara, claude = (create_user(Role.STUDENT) for _ in range(3))
    first = enrollments.enroll(ada, course.id)
    second = enrollments.enroll_or_wait(barbara, course.id)
    enrollments.enroll_or_wait(claude, course.id)

    enrollments.withdraw(ada, first.id)
    with pytest.raises(Conflict) as full:
        enrollments.enroll(ada, course.id)

    assert settle(course) == 1
    promoted = enrollments.get_own(barbara, second.id)
    assert isinstance(promoted, Enrollment) and promoted.email_pending == "0"
    assert codes(full) == ["course: full"]
    assert numbers(course) == (1, 1, 0, 1)
    assert [entry.position for entry in waitlist.list_entries(claude, PAGE, None).items] == [1]
