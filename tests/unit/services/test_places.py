"""Courses with a capacity: joining, leaving and waiting, one request after the other."""

import json
import time
from datetime import timedelta
from typing import Any

import boto3
import pytest

from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.errors import Conflict, DomainError, Forbidden, NotAuthenticated, NotFound, TooManyAttempts
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.ledger import Event, LedgerEntry
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.places import Place
from chalicelib.models.throttles import Throttle
from chalicelib.models.users import User
from chalicelib.models.waitlist import WaitlistEntry
from chalicelib.services import (
    accounts,
    cascade_deletion,
    cleanup,
    courses,
    enrollment_emails,
    enrollments,
    place_settlement,
    places,
    rate_limits,
    waitlist,
    withdrawals,
)
from tests.factories import create_course, create_user
from tests.unit.conftest import cancelled

PAGE = PageRequest(20)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def owner(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


@pytest.fixture
def students(aws: None) -> list[Caller]:
    return [create_user(Role.STUDENT) for _ in range(5)]


@pytest.fixture
def full_course(owner: Caller, students: list[Caller]) -> Course:
    """A course with one place, which the first student has, and with the second and the third one waiting."""
    course = create_course(owner, capacity=1, waitlist=5)
    for student in students[:3]:
        enrollments.enroll_or_wait(student, course.id)
    return course


def settle(course: Course, void_through: int = 0) -> int:
    """Run the worker once, and return how many students it enrolled."""
    return sum(place_settlement.settle(course.id, void_through))


def codes(error: pytest.ExceptionInfo[DomainError]) -> list[str]:
    return [f"{field.field}: {field.code}" for field in error.value.fields]


def numbers(course: Course) -> tuple[int | None, ...]:
    """Return capacity, taken and left places, and how many wait."""
    counted = places.get(None, course.id)
    return counted.capacity, counted.taken, counted.left, counted.waiting


def enrolled(course: Course) -> set[str]:
    return {str(row.student) for row in Enrollment.all_of_course(course.id)}


def entry_id(student: Caller, course: Course) -> str:
    row = Enrollment.find_by_student_and_course(student.id, course.id)
    assert row is not None
    return row.id


def messages(queue: str) -> list[dict[str, Any]]:
    """Take what lies in a queue, without the messages that are delayed."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=f"eduflow-{queue}-test")["QueueUrl"]
    received: list[dict[str, Any]] = []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += [json.loads(message["Body"]) for message in batch]
    return received


# Joining


def test_course_takes_as_many_as_its_capacity(owner: Caller, students: list[Caller]) -> None:
    course = create_course(owner, capacity=2, waitlist=1)
    for student in students[:2]:
        enrollments.enroll(student, course.id)

    with pytest.raises(Conflict) as full:
        enrollments.enroll(students[2], course.id)
    entry = enrollments.enroll_or_wait(students[2], course.id)
    with pytest.raises(Conflict) as list_full:
        enrollments.enroll_or_wait(students[3], course.id)

    assert (codes(full), codes(list_full)) == (["course: full"], ["course: waitlist_full"])
    assert isinstance(entry, WaitlistEntry) and entry.position == 1
    assert enrolled(course) == {student.id for student in students[:2]}
    assert numbers(course) == (2, 2, 0, 1)


def test_student_who_can_wait_is_enrolled_if_a_place_is_left(owner: Caller, students: list[Caller]) -> None:
    course = create_course(owner, capacity=1, waitlist=1)

    enrollment = enrollments.enroll_or_wait(students[0], course.id)

    assert isinstance(enrollment, Enrollment) and not enrollment.is_waiting
    [message] = messages("emails")
    assert (message["kind"], message["id"]) == ("enrollment", enrollment.id)


def test_joining_a_waitlist_sends_no_email(owner: Caller, full_course: Course, students: list[Caller]) -> None:
    messages("emails")

    enrollments.enroll_or_wait(students[3], full_course.id)

    assert messages("emails") == []


def test_waiting_student_requests_settlement_of_numbers_before(full_course: Course, students: list[Caller]) -> None:
    """Of one whose request failed, the place is free."""
    messages("waitlist")

    enrollments.enroll_or_wait(students[3], full_course.id)
    unsettled = messages("waitlist")
    settle(full_course)
    enrollments.enroll_or_wait(students[4], full_course.id)

    assert [message["course"] for message in unsettled] == [full_course.id]
    assert messages("waitlist") == []


@pytest.mark.parametrize("number", [0, 1], ids=["enrolled", "waiting"])
def test_second_request_is_a_conflict_and_takes_no_place(
    full_course: Course, students: list[Caller], number: int
) -> None:
    before = numbers(full_course)

    for join in (enrollments.enroll, enrollments.enroll_or_wait):
        with pytest.raises(Conflict) as error:
            join(students[number], full_course.id)
        assert codes(error) == []

    assert numbers(full_course) == before
    counter = PlaceCounter.find(full_course.id)
    assert counter is not None and counter.drawn == 3


def test_refused_student_draws_no_number(
    owner: Caller, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise they could take all places for a while by repeating the request."""
    course = create_course(owner, capacity=3)
    inactive, unverified, frequent = students[:3]
    User(inactive.id).update([User.is_active.set(False)])
    with pytest.raises(NotAuthenticated):
        enrollments.enroll(inactive, course.id)
    User(unverified.id).update([User.email_verified.set(False)])
    monkeypatch.setitem(settings().__dict__, "is_email_verification_required", True)
    with pytest.raises(Forbidden):
        enrollments.enroll(unverified, course.id)
    monkeypatch.setitem(settings().__dict__, "is_email_verification_required", False)
    monkeypatch.setitem(settings().__dict__, "enrollments_per_student", 1)
    enrollments.enroll(frequent, create_course(owner).id)
    with pytest.raises(TooManyAttempts):
        enrollments.enroll(frequent, course.id)

    counter = PlaceCounter.find(course.id)
    assert counter is not None and counter.drawn == 0


def test_number_of_a_refused_transaction_is_given_back(
    owner: Caller, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account changes between the check and the transaction."""
    course = create_course(owner, capacity=1)
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.services.eligibility.require", lambda *_: None)
        User(students[0].id).update([User.is_active.set(False)])
        with pytest.raises(NotAuthenticated):
            enrollments.enroll(students[0], course.id)

    assert [message["course"] for message in messages("waitlist")] == [course.id]
    settle(course)
    enrollments.enroll(students[1], course.id)
    assert numbers(course) == (1, 1, 0, 0)


def test_number_of_a_double_request_is_given_back(
    owner: Caller, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both requests find no row before one of them writes it."""
    course = create_course(owner, capacity=2)
    enrollments.enroll(students[0], course.id)
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.services.eligibility.require", lambda *_: None)
        with pytest.raises(Conflict):
            enrollments.enroll(students[0], course.id)

    settle(course)

    assert numbers(course) == (2, 1, 1, 0)


def test_late_request_whose_number_is_void_draws_another(
    owner: Caller, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    course = create_course(owner, capacity=1)
    draw = PlaceCounter.draw

    def slow_draw(course_id: str, *, can_wait: bool) -> PlaceCounter | None:
        counter = draw(course_id, can_wait=can_wait)
        if counter and counter.drawn == 1:
            settle(course, void_through=1)
        return counter

    monkeypatch.setattr(PlaceCounter, "draw", slow_draw)

    enrollment = enrollments.enroll(students[0], course.id)

    assert enrollment.place_number == 2
    assert numbers(course) == (1, 1, 0, 0)


def test_throttled_transaction_gives_its_number_back(owner: Caller, students: list[Caller], fail_calls: Any) -> None:
    course = create_course(owner, capacity=1)
    fail_calls("TransactWriteItems", *[cancelled("ThrottlingError")] * 100)

    with pytest.raises(DomainError):
        enrollments.enroll(students[0], course.id)

    place = Place.between(course.id, 1, 1)[1]
    assert place.state == "left"
    assert numbers(course) == (1, 0, 1, 0)


def test_unlimited_course_makes_the_calls_of_before(
    owner: Caller, students: list[Caller], dynamodb_calls: list[str]
) -> None:
    course = create_course(owner)
    dynamodb_calls.clear()

    enrollment = enrollments.enroll(students[0], course.id)
    assert dynamodb_calls == ["GetItem", "TransactWriteItems"]
    dynamodb_calls.clear()
    enrollments.withdraw(students[0], enrollment.id)

    assert dynamodb_calls == ["GetItem", "TransactWriteItems"]
    assert messages("waitlist") == []


def test_joining_makes_one_update_and_one_transaction(
    owner: Caller, students: list[Caller], dynamodb_requests: list[Any]
) -> None:
    course = create_course(owner, capacity=1)
    dynamodb_requests.clear()

    enrollments.enroll(students[0], course.id)

    writes = [one for one in dynamodb_requests if one.operation in ("UpdateItem", "TransactWriteItems")]
    assert [one.operation for one in writes] == ["UpdateItem", "TransactWriteItems"]
    assert "place-counters" not in json.dumps(writes[1].body, default=str)


# Leaving


def test_freed_place_goes_to_who_waits_first(full_course: Course, students: list[Caller]) -> None:
    messages("waitlist")
    enrollments.withdraw(students[0], entry_id(students[0], full_course))
    with pytest.raises(Conflict) as full:
        enrollments.enroll(students[3], full_course.id)

    assert [message["course"] for message in messages("waitlist")] == [full_course.id]
    assert settle(full_course) == 1

    assert codes(full) == ["course: full"]
    assert enrolled(full_course) == {students[1].id}
    assert numbers(full_course) == (1, 1, 0, 1)


def test_promoted_student_gets_one_email_in_other_words(full_course: Course, students: list[Caller]) -> None:
    messages("emails")
    waiting = waitlist.list_entries(students[1], PAGE, None).items[0]
    enrollments.withdraw(students[0], entry_id(students[0], full_course))

    settle(full_course)
    settle(full_course)

    row = Enrollment.find(waiting.id)
    assert row is not None and row.email_pending == "0" and row.created_at > waiting.joined_at
    [message] = messages("emails")
    assert message == {"kind": "place_available", "id": waiting.id, "request_id": row.request_id}
    found = enrollment_emails.find(waiting.id)
    assert found is not None and found[1]("").subject == "You have a place in A title"


def test_email_of_a_waiting_student_is_not_composed(full_course: Course, students: list[Caller]) -> None:
    assert enrollment_emails.find(entry_id(students[1], full_course)) is None


def test_place_of_a_waiting_student_who_leaves_is_skipped(full_course: Course, students: list[Caller]) -> None:
    waitlist.leave(students[1], entry_id(students[1], full_course))
    assert numbers(full_course) == (1, 1, 0, 1)
    enrollments.withdraw(students[0], entry_id(students[0], full_course))

    settle(full_course)

    assert enrolled(full_course) == {students[2].id}
    assert numbers(full_course) == (1, 1, 0, 0)


def test_waiting_student_who_leaves_makes_room_on_the_waitlist(owner: Caller, students: list[Caller]) -> None:
    course = create_course(owner, capacity=1, waitlist=1)
    for student in students[:2]:
        enrollments.enroll_or_wait(student, course.id)

    waitlist.leave(students[1], entry_id(students[1], course))
    entry = enrollments.enroll_or_wait(students[2], course.id)
    with pytest.raises(Conflict) as full:
        enrollments.enroll_or_wait(students[3], course.id)

    assert isinstance(entry, WaitlistEntry) and entry.position == 1
    assert codes(full) == ["course: waitlist_full"]
    assert numbers(course) == (1, 1, 0, 1)


@pytest.mark.parametrize("is_settled", [False, True])
def test_place_is_free_again_after_its_student_left(owner: Caller, students: list[Caller], is_settled: bool) -> None:
    course = create_course(owner, capacity=2)
    for student in students[:2]:
        enrollments.enroll(student, course.id)
    if is_settled:
        settle(course)

    enrollments.withdraw(students[0], entry_id(students[0], course))
    assert numbers(course) == (2, 1, 1, 0)
    settle(course)
    enrollments.enroll(students[2], course.id)

    assert enrolled(course) == {students[1].id, students[2].id}
    with pytest.raises(Conflict):
        enrollments.enroll(students[3], course.id)
    assert Place.between(course.id, 1, 3).keys() <= {2, 3} | ({1} if not is_settled else set())


def test_end_of_a_waiting_entry_is_not_in_the_reports(full_course: Course, students: list[Caller]) -> None:
    day = clock.timestamp()[:10]

    waitlist.leave(students[1], entry_id(students[1], full_course))
    assert LedgerEntry.count_of(Event.ENROLLMENT_DELETED, day) == 0
    enrollments.withdraw(students[0], entry_id(students[0], full_course))

    assert LedgerEntry.count_of(Event.ENROLLMENT_DELETED, day) == 1


def test_student_promoted_while_leaving_leaves_the_course(
    full_course: Course, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place arrives between the read of the entry and its deletion."""
    find = Enrollment.find
    waiting = entry_id(students[1], full_course)

    def promote_after_reading(enrollment_id: str) -> Enrollment | None:
        row = find(enrollment_id)
        monkeypatch.setattr(Enrollment, "find", find)
        enrollments.withdraw(students[0], entry_id(students[0], full_course))
        settle(full_course)
        return row

    monkeypatch.setattr(Enrollment, "find", promote_after_reading)

    waitlist.leave(students[1], waiting)

    assert Enrollment.find(waiting) is None
    settle(full_course)
    assert enrolled(full_course) == {students[2].id}


def test_number_settled_while_leaving_is_counted_once(
    owner: Caller, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    course = create_course(owner, capacity=1)
    enrollments.enroll(students[0], course.id)
    find = PlaceCounter.find

    def settle_after_reading(course_id: str) -> PlaceCounter | None:
        counter = find(course_id)
        monkeypatch.setattr(PlaceCounter, "find", find)
        settle(course)
        return counter

    monkeypatch.setattr(PlaceCounter, "find", settle_after_reading)

    enrollments.withdraw(students[0], entry_id(students[0], course))

    assert numbers(course) == (1, 0, 1, 0)
    counter = PlaceCounter.find(course.id)
    assert counter is not None and (counter.freed, counter.limit, counter.left) == (1, 2, 0)


def test_student_who_leaves_during_settlement_is_counted(
    full_course: Course, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The places are read before the student leaves, and the counters are written after it."""
    between = Place.between

    def leave_after_reading(course: str, first: int, last: int) -> dict[int, Place]:
        found = between(course, first, last)
        monkeypatch.setattr(Place, "between", between)
        enrollments.withdraw(students[0], entry_id(students[0], full_course))
        return found

    monkeypatch.setattr(Place, "between", leave_after_reading)

    assert settle(full_course) == 1

    assert enrolled(full_course) == {students[1].id}
    assert numbers(full_course) == (1, 1, 0, 1)


def test_limit_of_enrolling_again_counts_left_waitlists(full_course: Course, students: list[Caller]) -> None:
    for _ in range(3):
        waitlist.leave(students[1], entry_id(students[1], full_course))
        enrollments.enroll_or_wait(students[1], full_course.id)
    waitlist.leave(students[1], entry_id(students[1], full_course))

    with pytest.raises(TooManyAttempts):
        enrollments.enroll_or_wait(students[1], full_course.id)


# Settlement


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
    full_course: Course, students: list[Caller], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
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


# Numbers without a place


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


def test_failed_give_back_requests_settlement(owner: Caller, students: list[Caller], fail_calls: Any) -> None:
    course = create_course(owner, capacity=1)
    fail_calls("TransactWriteItems", *[cancelled("ThrottlingError")] * 10_000)

    with pytest.raises(DomainError):
        enrollments.enroll(students[0], course.id)

    assert [message["course"] for message in messages("waitlist")] == [course.id]


def test_own_entries_are_read_by_one_query(
    owner: Caller, full_course: Course, students: list[Caller], dynamodb_calls: list[str]
) -> None:
    for _ in range(30):
        enrollments.enroll(students[1], create_course(owner).id)
    dynamodb_calls.clear()

    page = waitlist.list_entries(students[1], PageRequest(1), None)

    assert [entry.course for entry in page.items] == [full_course.id]
    assert sorted(dynamodb_calls) == ["GetItem", "Query", "Query"]


# Deletion


def test_deleted_course_leaves_no_places(owner: Caller, full_course: Course, students: list[Caller]) -> None:
    courses.delete(owner, full_course.id, None)

    [*cascade_deletion.delete_dependents(CascadeTarget.COURSE, full_course.id, clock.now())]

    assert [*Enrollment.scan()] == []
    assert [*Place.scan()] == []
    assert [*PlaceCounter.scan()] == []
    assert settle(full_course) == 0


@pytest.mark.parametrize("number", [0, 1], ids=["enrolled", "waiting"])
def test_erased_student_frees_the_place(full_course: Course, students: list[Caller], number: int) -> None:
    accounts.erase(students[number])

    [*cascade_deletion.delete_dependents(CascadeTarget.USER, students[number].id, clock.now())]
    settle(full_course)

    assert [*Enrollment.all_of_student(students[number].id)] == []
    assert students[number].id not in {place.student for place in Place.scan()}
    assert enrolled(full_course) == {students[1 - number].id}
    assert numbers(full_course) == (1, 1, 0, 1)


def test_enrollments_of_a_student_with_and_without_places_are_deleted(
    owner: Caller, full_course: Course, students: list[Caller]
) -> None:
    for _ in range(3):
        enrollments.enroll(students[1], create_course(owner).id)
    accounts.erase(students[1])

    deleted = sum(cascade_deletion.delete_dependents(CascadeTarget.USER, students[1].id, clock.now()))

    assert deleted >= 4
    assert [*Enrollment.all_of_student(students[1].id)] == []


def test_reactivated_student_keeps_the_place(full_course: Course, students: list[Caller]) -> None:
    """The student is reactivated after the worker read that they have been inactive for long."""
    User(students[0].id).update([User.lifecycle_at.set("long ago")])
    inactive = User.find(students[0].id)
    User(students[0].id).update([User.lifecycle_at.remove()])

    with pytest.raises(withdrawals.StudentActive):
        [*withdrawals.delete_in_batches(Enrollment.all_of_student(students[0].id), inactive)]

    assert enrolled(full_course) == {students[0].id}
    assert numbers(full_course) == (1, 1, 0, 2)


def test_student_leaves_again_after_the_window_of_the_limit(
    full_course: Course, students: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = rate_limits.withdrawals_from(students[0].id, full_course.id)
    Throttle.reserve(quota, int(time.time()) - 2 * rate_limits.DAY_SECONDS)

    enrollments.withdraw(students[0], entry_id(students[0], full_course))

    assert numbers(full_course) == (1, 1, 0, 1)


def test_enrollment_in_a_deleted_course_is_deleted(full_course: Course, students: list[Caller]) -> None:
    """Its counters were deleted before it."""
    PlaceCounter(full_course.id).delete()

    enrollments.withdraw(students[0], entry_id(students[0], full_course))

    assert Enrollment.find_by_student_and_course(students[0].id, full_course.id) is None
    assert PlaceCounter.find(full_course.id) is None


# What others see


def test_waiting_student_is_in_no_list_of_enrollments(
    owner: Caller, full_course: Course, students: list[Caller]
) -> None:
    for caller, course, student in [
        (students[1], None, None),
        (owner, None, students[1].id),
        (owner, full_course.id, students[1].id),
    ]:
        assert enrollments.list_enrollments(caller, PAGE, course=course, student=student).items == []
    for course in (None, full_course.id):
        rows = enrollments.list_enrollments(owner, PAGE, course=course, student=None).items
        assert [row.student for row in rows] == [students[0].id]


def test_waiting_entry_and_enrollment_end_by_their_own_routes(full_course: Course, students: list[Caller]) -> None:
    with pytest.raises(NotFound):
        enrollments.withdraw(students[1], entry_id(students[1], full_course))
    with pytest.raises(NotFound):
        waitlist.leave(students[0], entry_id(students[0], full_course))

    assert numbers(full_course) == (1, 1, 0, 2)


def test_places_of_an_unlimited_course_are_null(owner: Caller) -> None:
    assert numbers(create_course(owner)) == (None, None, None, None)


def test_places_of_a_draft_are_for_who_may_view_it(owner: Caller, students: list[Caller]) -> None:
    draft = create_course(owner, capacity=3, is_published=False)

    with pytest.raises(NotFound):
        places.get(students[0], draft.id)

    assert places.get(owner, draft.id).left == 3
