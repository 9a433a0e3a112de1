"""Settlement: waiting students are enrolled, and numbers that no student has are given on."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.errors import Conflict, DomainError
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.places import Place
from chalicelib.models.users import User
from chalicelib.services import (
    cleanup,
    courses,
    enrollments,
    place_settlement,
)
from tests.factories import create_course, create_user
from tests.unit.conftest import cancelled, log_lines
from tests.unit.services.places import enrolled, entry_id, messages, numbers, settle

MINUTE = timedelta(minutes=1)


def test_unused_number_is_void_after_ten_seconds(
    owner: Caller, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that died after it drew a number. Who waits gets its place."""
    delayed: list[tuple[dict[str, str], dict[str, int]]] = []
    course = create_course(owner, capacity=1, waitlist=1)
    PlaceCounter.draw(course.id, can_wait=False)
    enrollments.enroll_or_wait(students[0], course.id)
    monkeypatch.setattr(
        "chalicelib.adapters.sqs.send", lambda _, message, **options: delayed.append((message, options))
    )

    assert settle(course) == 0
    [(message, options)] = delayed
    assert (message["course"], options) == (course.id, {"DelaySeconds": 10})
    assert settle(course, int(message["void_through"])) == 1

    assert enrolled(course) == {students[0].id}
    assert numbers(course) == (1, 1, 0, 0)


def test_number_drawn_after_the_request_is_not_void(owner: Caller) -> None:
    course = create_course(owner, capacity=2)
    for _ in range(2):
        PlaceCounter.draw(course.id, can_wait=False)

    settle(course, void_through=1)

    counter = PlaceCounter.find(course.id)
    assert counter is not None and (counter.settled, counter.freed) == (1, 1)
    assert Place.between(course.id, 1, 2).keys() == {1}


def test_settlement_that_died_is_done_by_the_next(
    full_course: Course, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died after the student was enrolled, before the counters and the email."""
    settle(full_course)
    enrollments.withdraw(students[0], entry_id(students[0], full_course))
    with monkeypatch.context() as patch:
        patch.setattr(PlaceCounter, "settle", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            settle(full_course)
    row = Enrollment.find_by_student_and_course(students[1].id, full_course.id)
    assert row is not None and not row.is_waiting

    settle(full_course)

    again = Enrollment.find(row.id)
    assert again is not None and again.sort_key == row.sort_key
    assert enrolled(full_course) == {students[1].id}
    assert numbers(full_course) == (1, 1, 0, 1)


def test_cleanup_requests_settlements(full_course: Course, owner: Caller, students: list[Caller]) -> None:
    settle(full_course)
    settled_course = create_course(owner, capacity=2)
    enrollments.enroll(students[3], settled_course.id)
    settle(settled_course)
    enrollments.withdraw(students[0], entry_id(students[0], full_course))
    messages("waitlist")

    counts = sum(cleanup.request_settlements(clock.now()))

    assert counts == 1
    assert [message["course"] for message in messages("waitlist")] == [full_course.id]


@pytest.mark.parametrize("change", ["closed", "draft"])
def test_waitlist_stands_still_while_enrollment_is_closed(
    owner: Caller, full_course: Course, students: list[Caller], change: str
) -> None:
    past = clock.format_timestamp(clock.now() - MINUTE)
    fields: dict[str, Any] = {"closes_at": past} if change == "closed" else {"is_published": False}
    courses.update(owner, full_course.id, fields, None)
    enrollments.withdraw(students[0], entry_id(students[0], full_course))

    assert settle(full_course) == 0
    messages("waitlist")
    opened: dict[str, Any] = {"closes_at": None} if change == "closed" else {"is_published": True}
    courses.update(owner, full_course.id, opened, None)

    assert [message["course"] for message in messages("waitlist")] == [full_course.id]
    assert settle(full_course) == 1
    assert enrolled(full_course) == {students[1].id}


@pytest.mark.parametrize(("seconds", "admitted"), [(-1, 1), (0, 0), (1, 0)])
def test_waitlist_is_paused_once_enrollment_closes(
    owner: Caller,
    full_course: Course,
    students: list[Caller],
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    admitted: int,
) -> None:
    closes = clock.now() + timedelta(hours=1)
    courses.update(owner, full_course.id, {"closes_at": clock.format_timestamp(closes)}, None)
    enrollments.withdraw(students[0], entry_id(students[0], full_course))
    now = clock.format_timestamp(closes + timedelta(seconds=seconds))
    monkeypatch.setattr(clock, "timestamp", lambda: now)

    assert settle(full_course) == admitted


def test_numbers_of_a_closed_course_are_settled(owner: Caller, students: list[Caller]) -> None:
    """So that its capacity can decrease by the places that students left."""
    course = create_course(owner, capacity=2)
    for student in students[:2]:
        enrollments.enroll(student, course.id)
    courses.update(owner, course.id, {"closes_at": clock.format_timestamp(clock.now() - MINUTE)}, None)
    enrollments.withdraw(students[0], entry_id(students[0], course))

    settle(course)
    changed = courses.update(owner, course.id, {"capacity": 1}, None)

    assert changed.capacity == 1
    assert numbers(course) == (1, 1, 0, 0)


def test_more_numbers_than_a_batch_are_settled(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_settlement, "BATCH_SIZE", 2)
    course = create_course(owner, capacity=1, waitlist=10)
    waiting = [create_user(Role.STUDENT) for _ in range(6)]
    for student in waiting:
        enrollments.enroll_or_wait(student, course.id)
    courses.update(owner, course.id, {"capacity": 6}, None)

    steps = [*place_settlement.settle(course.id, 0)]

    assert steps == [1, 2, 2]
    assert len(enrolled(course)) == 6


def test_number_without_its_entry_does_not_block_others(full_course: Course, students: list[Caller]) -> None:
    """Tables that were restored to different times have such numbers."""
    Enrollment(students[1].id, full_course.id).delete()
    enrollments.withdraw(students[0], entry_id(students[0], full_course))

    settle(full_course)

    assert enrolled(full_course) == {students[2].id}


@pytest.mark.parametrize("change", ["inactive", "instructor", "unverified"])
def test_student_who_may_not_enroll_any_more_is_skipped(
    full_course: Course,
    students: list[Caller],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: str,
) -> None:
    caplog.set_level("INFO")
    skipped = entry_id(students[1], full_course)
    user = User(students[1].id)
    if change == "inactive":
        user.update([User.is_active.set(False)])
    elif change == "instructor":
        user.update([User.role.set("instructor")])
    else:
        user.update([User.email_verified.set(False)])
        monkeypatch.setitem(settings().__dict__, "is_email_verification_required", True)
    enrollments.withdraw(students[0], entry_id(students[0], full_course))

    assert settle(full_course) == 1

    assert enrolled(full_course) == {students[2].id}
    assert Enrollment.find_by_student_and_course(students[1].id, full_course.id) is None
    assert numbers(full_course) == (1, 1, 0, 0)
    assert log_lines(caplog, "app.event") == [
        ("Waiting entry deleted: the student may not enroll any more", {"entry": skipped})
    ]


def test_second_worker_leaves_the_rest_to_the_first(
    full_course: Course, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two messages of one course are processed at the same time."""
    enrollments.withdraw(students[0], entry_id(students[0], full_course))
    between = Place.between

    def settle_after_reading(course: str, first: int, last: int) -> dict[int, Place]:
        found = between(course, first, last)
        monkeypatch.setattr(Place, "between", between)
        assert settle(full_course) == 1
        return found

    monkeypatch.setattr(Place, "between", settle_after_reading)

    assert settle(full_course) == 0
    assert enrolled(full_course) == {students[1].id}


def waitlist_room(course: Course) -> int:
    """Return how many students can join the waitlist."""
    counter = PlaceCounter.find(course.id)
    assert counter is not None
    return int(counter.last - counter.drawn)


def test_double_requests_take_no_room_of_the_waitlist(
    full_course: Course, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them read that the student does not wait, before one of them writes it."""
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.services.eligibility.require", lambda *_: None)
        for _ in range(3):
            with pytest.raises(Conflict):
                enrollments.enroll_or_wait(students[1], full_course.id)

    assert numbers(full_course) == (1, 1, 0, 2)
    assert waitlist_room(full_course) == 5 - 2


def test_request_that_died_takes_room_of_the_waitlist_until_the_cleanup(
    full_course: Course, students: list[Caller]
) -> None:
    settle(full_course)
    PlaceCounter.draw(full_course.id, can_wait=True)
    assert waitlist_room(full_course) == 5 - 3

    assert sum(cleanup.request_settlements(clock.now())) == 1
    settle(full_course)
    settle(full_course, void_through=4)

    assert numbers(full_course) == (1, 1, 0, 2)
    assert waitlist_room(full_course) == 5 - 2
    assert sum(cleanup.request_settlements(clock.now())) == 0


def test_failed_give_back_requests_settlement(
    owner: Caller, students: list[Caller], fail_calls: Any, caplog: pytest.LogCaptureFixture
) -> None:
    course = create_course(owner, capacity=1)
    fail_calls("TransactWriteItems", *[cancelled("ThrottlingError")] * 10_000)

    with pytest.raises(DomainError):
        enrollments.enroll(students[0], course.id)

    assert [message["course"] for message in messages("waitlist")] == [course.id]
    assert log_lines(caplog, "app.error") == [("A place number is not given back", {"course": course.id, "number": 1})]


def test_numbers_are_checked_in_batches(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, dynamodb_calls: list[str]
) -> None:
    """Of numbers 3 to 5, number 4 is unused; no later one is looked at."""
    monkeypatch.setattr(place_settlement, "BATCH_SIZE", 3)
    counter = PlaceCounter("c" * 16, drawn=9, limit=2, last=9, settled=2)
    counter.save()
    for number in (3, 5):
        Place(counter.course, f"{number:010d}", state="waiting").save()

    assert place_settlement._check_batch(counter, void_through=3)
    assert (counter.checked, [*Place.between(counter.course, 1, 9)]) == (0, [3, 5])

    dynamodb_calls.clear()
    assert not place_settlement._check_batch(counter, void_through=9)
    assert dynamodb_calls.count("TransactWriteItems") == 1
    places = Place.between(counter.course, 1, 9)
    assert {number: place.state for number, place in places.items()} == {3: "waiting", 4: "left", 5: "waiting"}
    counter.refresh()
    assert (counter.checked, counter.left) == (5, 1)
