"""The end of enrollments in courses with a capacity, and of waiting entries: who gets the place."""

import time

import pytest

from chalicelib.adapters.sqs import CascadeTarget
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, TooManyAttempts
from chalicelib.core.pagination import PageRequest
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
    courses,
    enrollment_emails,
    enrollments,
    rate_limits,
    waitlist,
    withdrawals,
)
from tests.factories import create_course
from tests.unit.services.places import codes, enrolled, entry_id, messages, numbers, settle

PAGE = PageRequest(20)


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
