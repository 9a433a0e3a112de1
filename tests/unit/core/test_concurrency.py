"""Independent calls at the same time."""

from contextvars import ContextVar
from threading import Barrier, Event, current_thread, main_thread
from typing import Any

import pytest

from chalicelib.adapters.dynamodb import connection
from chalicelib.core.caller import Caller
from chalicelib.core.concurrency import MAX_THREADS, concurrently, started
from chalicelib.core.config import settings
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.services import courses
from tests.factories import course_ids, create_course, create_user

SECONDS = 10


def test_calls_run_at_the_same_time_in_the_same_context() -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("of the request")
    barrier = Barrier(3)

    def call(number: int) -> tuple[int, str]:
        barrier.wait(SECONDS)
        return number, variable.get()

    results = concurrently([lambda number=number: call(number) for number in range(3)])  # type: ignore[misc]

    assert results == [(number, "of the request") for number in range(3)]


def test_one_call_needs_no_thread() -> None:
    assert concurrently([current_thread]) == [main_thread()]


def test_threads_are_used_again() -> None:
    threads = {thread for _ in range(2 * MAX_THREADS) for thread in concurrently([current_thread] * 2)}

    assert len(threads) <= MAX_THREADS + 1  # and the one that calls


def test_more_calls_than_threads_all_run() -> None:
    assert concurrently([lambda number=number: number for number in range(30)]) == [*range(30)]  # type: ignore[misc]


def test_concurrent_call_makes_no_concurrent_calls() -> None:
    """With as many of them as threads, each would wait for a thread."""
    with pytest.raises(RuntimeError, match="makes concurrent calls"):
        concurrently([lambda: [1], lambda: concurrently([lambda: 1, lambda: 2])])


def test_client_keeps_a_connection_for_each_concurrent_call(aws: None) -> None:
    """Further ones would be opened for each call, which takes a TLS handshake."""
    assert connection().client.meta.config.max_pool_connections >= MAX_THREADS + 1


def test_failure_of_one_call_is_raised() -> None:
    def fails() -> int:
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        concurrently([fails, lambda: 1])


def test_started_call_runs_with_the_body_and_has_ended_after_it() -> None:
    barrier, is_left, ended = Barrier(2), Event(), Event()

    def call() -> str:
        barrier.wait(SECONDS)
        is_left.wait(0.05)  # never set: longer than the body
        ended.set()
        return "result"

    with started(call) as result:
        barrier.wait(SECONDS)
    assert ended.is_set()
    assert result() == "result"


def test_exception_of_a_started_call_is_raised_with_its_result_only() -> None:
    with started(lambda: 1 / 0) as result:
        pass
    with pytest.raises(ZeroDivisionError):
        result()


class Together:
    """Lets queries end only once a number of them is running, so that sequential ones fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, number: int) -> None:
        query, barrier = owner.query, Barrier(number)

        def wait_and_query(*arguments: Any, **named: Any) -> Any:
            barrier.wait(SECONDS)
            return query(*arguments, **named)

        monkeypatch.setattr(owner, "query", wait_and_query)


def test_shards_of_all_enrollments_are_read_together(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "enrollment_shards", 4)
    Together(monkeypatch, Enrollment.by_time, 4)

    assert Enrollment.list_all(after=None, backward=False, limit=20) == []


def test_roles_of_all_users_are_read_together(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    create_user(Role.STUDENT)
    Together(monkeypatch, User.by_role, 3)

    assert len(User.list_all(after=None, backward=False, limit=20)) == 1


def test_lists_of_an_instructor_are_read_together(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher: Caller = create_user(Role.INSTRUCTOR)
    create_course(teacher)
    Together(monkeypatch, CourseListing, 2)

    page = courses.list_courses(teacher, PageRequest(20), ordering="-created_at", own=False)

    assert len(course_ids(page)) == 1
