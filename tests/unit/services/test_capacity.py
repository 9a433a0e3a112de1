"""Changes of the capacity of a course and of the size of its waitlist."""

from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict, PreconditionFailed
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.place_counters import PlaceCounter, Resize
from chalicelib.services import courses, enrollments, place_settlement, places
from tests.factories import create_course, create_user


def join(course: Course, number: int) -> None:
    for _ in range(number):
        enrollments.enroll_or_wait(create_user(Role.STUDENT), course.id)


def change(owner: Caller, course: Course, **fields: Any) -> Course:
    return courses.update(owner, course.id, fields, None)


def counted(course: Course) -> tuple[int | None, ...]:
    """Settle the places, and return capacity, taken and left places, and how many wait."""
    [*place_settlement.settle(course.id, 0)]
    found = places.get(None, course.id)
    return found.capacity, found.taken, found.left, found.waiting


def code_of(error: pytest.ExceptionInfo[Conflict]) -> str:
    [field] = error.value.fields
    return f"{field.field}: {field.code}"


def test_larger_capacity_enrolls_who_waits(owner: Caller) -> None:
    course = create_course(owner, capacity=1, waitlist=9)
    join(course, 4)

    changed = change(owner, course, capacity=3)

    assert changed.capacity == 3
    assert counted(course) == (3, 3, 0, 1)


@pytest.mark.parametrize(("students", "capacity"), [(2, 2), (0, 1)])
def test_capacity_can_decrease_by_the_places_that_are_left(owner: Caller, students: int, capacity: int) -> None:
    course = create_course(owner, capacity=4)
    join(course, students)

    change(owner, course, capacity=capacity)

    assert counted(course) == (capacity, students, capacity - students, 0)


@pytest.mark.parametrize("capacity", [1, 2])
def test_capacity_below_the_taken_places_is_refused(owner: Caller, capacity: int) -> None:
    course = create_course(owner, capacity=4)
    join(course, 3)

    with pytest.raises(Conflict) as error:
        change(owner, course, capacity=capacity, title="Knots")

    assert code_of(error) == "capacity: places_taken"
    stored = Course.find(course.id)
    assert stored is not None and (stored.capacity, stored.title, stored.version) == (4, "A title", 1)
    assert counted(course) == (4, 3, 1, 0)


def test_smaller_capacity_is_refused_while_students_wait(owner: Caller) -> None:
    course = create_course(owner, capacity=2, waitlist=1)
    join(course, 3)

    with pytest.raises(Conflict) as error:
        change(owner, course, capacity=1)

    assert code_of(error) == "capacity: places_taken"


def test_number_drawn_while_the_capacity_decreases_keeps_its_place(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is drawn between the read of the counters and the transaction."""
    course = create_course(owner, capacity=2)
    is_possible = Resize.is_possible.fget  # type: ignore[attr-defined]

    def draw_after_reading(resize: Resize) -> bool:
        result = bool(is_possible(resize))
        monkeypatch.setattr(Resize, "is_possible", property(is_possible))
        join(course, 2)
        return result

    monkeypatch.setattr(Resize, "is_possible", property(draw_after_reading))

    with pytest.raises(Conflict) as error:
        change(owner, course, capacity=1)

    assert code_of(error) == "capacity: places_taken"
    assert counted(course) == (2, 2, 0, 0)


def test_removed_capacity_enrolls_all_who_wait(owner: Caller) -> None:
    course = create_course(owner, capacity=1, waitlist=9)
    join(course, 3)

    change(owner, course, capacity=None)

    assert counted(course) == (None, None, None, None)
    join(course, 1)
    change(owner, course, capacity=5)
    assert counted(course) == (5, 4, 1, 0)


def test_capacity_after_it_was_removed_counts_as_smaller(owner: Caller) -> None:
    course = create_course(owner, capacity=1)
    change(owner, course, capacity=None)
    join(course, 3)

    with pytest.raises(Conflict) as error:
        change(owner, course, capacity=2)

    assert code_of(error) == "capacity: places_taken"


def test_draft_that_was_never_published_can_get_a_capacity(owner: Caller) -> None:
    course = create_course(owner, is_published=False)

    change(owner, course, capacity=1)
    change(owner, course, is_published=True)
    join(course, 1)

    with pytest.raises(Conflict):
        enrollments.enroll(create_user(Role.STUDENT), course.id)


def test_draft_gets_its_capacity_and_is_published_at_once(owner: Caller) -> None:
    course = create_course(owner, is_published=False)

    change(owner, course, capacity=1, waitlist=2, is_published=True)

    join(course, 3)
    assert counted(course) == (1, 1, 0, 2)


@pytest.mark.parametrize("is_published", [True, False], ids=["published", "unpublished again"])
def test_course_that_was_published_gets_no_capacity(owner: Caller, is_published: bool) -> None:
    course = create_course(owner)
    change(owner, course, is_published=is_published)

    with pytest.raises(Conflict) as error:
        change(owner, course, capacity=5)

    assert code_of(error) == "capacity: has_enrollments"


def test_course_of_before_the_attribute_gets_no_capacity(owner: Caller) -> None:
    course = create_course(owner, is_published=False)
    Course(course.id).update([Course.never_published.remove()])

    with pytest.raises(Conflict) as error:
        change(owner, course, capacity=5)

    assert code_of(error) == "capacity: has_enrollments"


@pytest.mark.parametrize(("waitlist", "waiting"), [(3, 3), (1, 2)])
def test_size_of_the_waitlist_applies_to_later_students(owner: Caller, waitlist: int, waiting: int) -> None:
    course = create_course(owner, capacity=1, waitlist=2)
    join(course, 3)

    change(owner, course, waitlist=waitlist)
    for _ in range(2):
        try:
            join(course, 1)
        except Conflict:
            break

    assert counted(course) == (1, 1, 0, waiting)


def test_outdated_version_changes_no_capacity(owner: Caller) -> None:
    course = create_course(owner, capacity=3)
    change(owner, course, title="Knots")

    with pytest.raises(PreconditionFailed):
        courses.update(owner, course.id, {"capacity": 9}, frozenset({1}))

    assert counted(course) == (3, 0, 3, 0)


def test_capacity_changes_with_the_course_or_not_at_all(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, dynamodb_calls: list[str]
) -> None:
    """One transaction: a process that dies leaves both as they were."""
    course = create_course(owner, capacity=3)
    dynamodb_calls.clear()

    change(owner, course, capacity=5)

    assert dynamodb_calls.count("TransactWriteItems") == 1
    assert not {"PutItem", "UpdateItem"} & {*dynamodb_calls}


def test_other_changes_read_no_counters(owner: Caller, dynamodb_requests: list[Any]) -> None:
    course = create_course(owner, capacity=3)
    dynamodb_requests.clear()

    change(owner, course, title="Knots", capacity=3)

    assert not [one for one in dynamodb_requests if "place-counters" in str(one.body)]


def test_two_changes_at_the_same_time_both_count(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    course = create_course(owner, capacity=2)
    find = PlaceCounter.find

    def change_after_reading(course_id: str) -> PlaceCounter | None:
        counter = find(course_id)
        monkeypatch.setattr(PlaceCounter, "find", find)
        change(owner, course, waitlist=4)
        return counter

    monkeypatch.setattr(PlaceCounter, "find", change_after_reading)

    changed = change(owner, course, capacity=1)

    counter = PlaceCounter.find(course.id)
    assert (changed.capacity, changed.waitlist) == (1, 4)
    assert counter is not None and (counter.limit, counter.last) == (1, 5)
