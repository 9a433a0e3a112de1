"""Courses with a capacity: who joins them, and what others see."""

import json
from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.errors import Conflict, DomainError, Forbidden, NotAuthenticated, NotFound, TooManyAttempts
from chalicelib.core.pagination import PageRequest
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.places import Place
from chalicelib.models.users import User
from chalicelib.models.waitlist import WaitlistEntry
from chalicelib.services import (
    enrollments,
    places,
    waitlist,
)
from tests.factories import create_course
from tests.unit.conftest import cancelled
from tests.unit.services.places import codes, enrolled, entry_id, messages, numbers, settle

PAGE = PageRequest(20)


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
    with pytest.raises(Forbidden, match=r"^Verify your email address before you enroll\.$") as refused:
        enrollments.enroll(unverified, course.id)
    assert codes(refused) == ["email: email_unverified"]
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


def test_own_entries_are_read_by_one_query(
    owner: Caller, full_course: Course, students: list[Caller], dynamodb_calls: list[str]
) -> None:
    for _ in range(30):
        enrollments.enroll(students[1], create_course(owner).id)
    dynamodb_calls.clear()

    page = waitlist.list_entries(students[1], PageRequest(1), None)

    assert [entry.course for entry in page.items] == [full_course.id]
    assert sorted(dynamodb_calls) == ["GetItem", "Query", "Query"]
