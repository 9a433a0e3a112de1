"""Concurrent operations on a real server: exactly one succeeds, and no data is lost or left behind."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.identities import Identity
from chalicelib.models.lessons import Lesson
from chalicelib.models.users import User
from chalicelib.services import accounts, enrollments, lessons
from tests.clients import PASSWORD, unique
from tests.factories import create_course, create_user

CLIENTS = 24


def call_concurrently(work: Callable[[int], Any]) -> tuple[list[Any], list[Conflict]]:
    """Return the results of CLIENTS concurrent threads, and the conflicts."""
    together = Barrier(CLIENTS)

    def one(number: int) -> Any:
        together.wait()
        try:
            return work(number)
        except Conflict as conflict:
            return conflict

    with ThreadPoolExecutor(CLIENTS) as pool:
        given = [*pool.map(one, range(CLIENTS))]
    conflicts = [value for value in given if isinstance(value, Conflict)]
    return [value for value in given if not isinstance(value, Conflict)], conflicts


def new_course() -> tuple[Caller, Course]:
    teacher = create_user(Role.INSTRUCTOR)
    return teacher, create_course(teacher, title="Races")


def test_one_of_concurrent_registrations_of_a_name_succeeds(local_aws: None) -> None:
    name = unique("ada")

    def register(number: int) -> User:
        spelled = name.upper() if number % 2 else name
        return accounts.register(spelled, f"{unique('ada')}@example.org", PASSWORD, Role.STUDENT)

    winners, losers = call_concurrently(register)

    assert (len(winners), len(losers)) == (1, CLIENTS - 1)
    assert {fault.field for loser in losers for fault in loser.fields} == {"username"}
    assert Identity.find_user_id(name) == winners[0].id
    assert len([row for row in Identity.scan() if row.user_id == winners[0].id]) == 2


def test_one_of_concurrent_registrations_of_an_email_succeeds(local_aws: None) -> None:
    address = f"{unique('ada')}@example.org"

    winners, losers = call_concurrently(lambda _: accounts.register(unique("ada"), address, PASSWORD, Role.STUDENT))

    assert (len(winners), len(losers)) == (1, CLIENTS - 1)
    assert Identity.find_user_id(address) == winners[0].id
    assert [user.id for user in User.scan(User.email == address)] == [winners[0].id]


def test_one_of_concurrent_enrollments_succeeds(local_aws: None) -> None:
    _, course = new_course()
    student = create_user(Role.STUDENT)

    winners, losers = call_concurrently(lambda _: enrollments.enroll(student, course.id))

    assert (len(winners), len(losers)) == (1, CLIENTS - 1)
    assert [row.id for row in Enrollment.query(student.id)] == [winners[0].id]


def test_concurrent_lessons_are_all_counted(local_aws: None) -> None:
    teacher, course = new_course()

    made, _ = call_concurrently(
        lambda number: lessons.create(
            teacher, course.id, {"title": "A lesson", "content": "", "duration_min": 5, "order_index": number}
        )
    )

    after = Course.find(course.id)
    assert after is not None
    assert after.lessons_count == len([*Lesson.query(course.id)]) == len(made) == CLIENTS
    assert after.version == course.version + CLIENTS
