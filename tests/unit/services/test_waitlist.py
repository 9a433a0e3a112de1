"""Who sees which waiting entries, in which order and position."""

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Forbidden, InvalidInput, NotFound
from chalicelib.core.pagination import Cursor, PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.services import courses, enrollments, place_settlement, waitlist
from tests.factories import create_course, create_user
from tests.unit.services.places import entry_id

PAGE = PageRequest(20)


@pytest.fixture
def admin(aws: None) -> Caller:
    return create_user(Role.ADMIN)


@pytest.fixture
def course(owner: Caller) -> Course:
    return create_course(owner, capacity=1, waitlist=20)


@pytest.fixture
def waiting(course: Course) -> list[Caller]:
    """The students who wait, in their order."""
    return [join(course) for _ in range(6)][1:]


def join(course: Course, student: Caller | None = None) -> Caller:
    student = student or create_user(Role.STUDENT)
    enrollments.enroll_or_wait(student, course.id)
    return student


def positions(caller: Caller, course: Course | None) -> dict[str, int]:
    entries = waitlist.list_entries(caller, PAGE, course.id if course else None).items
    return {entry.student: entry.position for entry in entries}


def test_owner_and_admin_see_all_in_the_order_of_places(
    owner: Caller, admin: Caller, course: Course, waiting: list[Caller]
) -> None:
    expected = {student.id: position for position, student in enumerate(waiting, start=1)}

    assert positions(owner, course) == positions(admin, course) == expected
    assert [*positions(owner, course)] == [student.id for student in waiting]


def test_student_sees_only_their_own_entries(owner: Caller, course: Course, waiting: list[Caller]) -> None:
    other = create_course(owner, capacity=1, waitlist=5)
    for _ in range(3):
        join(other)
    join(other, waiting[1])

    entries = waitlist.list_entries(waiting[1], PAGE, None).items

    assert {(entry.course, entry.position) for entry in entries} == {(course.id, 2), (other.id, 3)}
    assert positions(waiting[1], course) == {waiting[1].id: 2}
    assert positions(create_user(Role.STUDENT), course) == {}
    assert waitlist.list_entries(waiting[1], PAGE, "").items == []


def test_instructor_sees_no_waitlist_of_others(course: Course, waiting: list[Caller]) -> None:
    with pytest.raises(Forbidden):
        positions(create_user(Role.INSTRUCTOR), course)


@pytest.mark.parametrize("role", [Role.INSTRUCTOR, Role.ADMIN])
def test_staff_must_name_the_course(aws: None, role: Role) -> None:
    with pytest.raises(InvalidInput) as error:
        positions(create_user(role), None)

    assert error.value.fields[0].field == "course"


@pytest.mark.parametrize("course_id", ["0" * 16, "x", ""])
def test_waitlist_of_an_unknown_course_is_not_found(owner: Caller, course_id: str) -> None:
    with pytest.raises(NotFound):
        waitlist.list_entries(owner, PAGE, course_id)


def test_course_without_a_capacity_has_no_entries(owner: Caller) -> None:
    assert positions(owner, create_course(owner)) == {}


def test_positions_move_up_when_others_leave(owner: Caller, course: Course, waiting: list[Caller]) -> None:
    waitlist.leave(waiting[1], entry_id(waiting[1], course))

    assert positions(owner, course) == {waiting[0].id: 1, waiting[2].id: 2, waiting[3].id: 3, waiting[4].id: 4}
    assert positions(waiting[4], None) == {waiting[4].id: 4}


def test_promoted_student_is_on_the_waitlist_no_more(owner: Caller, course: Course, waiting: list[Caller]) -> None:
    courses.update(owner, course.id, {"capacity": 3}, None)
    [*place_settlement.settle(course.id, 0)]

    assert positions(owner, course) == {waiting[2].id: 1, waiting[3].id: 2, waiting[4].id: 3}
    assert positions(waiting[0], None) == {}
    assert positions(waiting[2], course) == {waiting[2].id: 1}


def test_position_far_behind_is_estimated_without_a_query(
    course: Course, waiting: list[Caller], monkeypatch: pytest.MonkeyPatch, dynamodb_calls: list[str]
) -> None:
    monkeypatch.setattr(waitlist, "MAX_COUNTED_NUMBERS", 4)
    for _ in place_settlement.settle(course.id, 0):  # the number of the enrolled student
        pass
    leaving = waiting.pop(2)
    waitlist.leave(leaving, entry_id(leaving, course))
    entries = [(student, entry_id(student, course)) for student in waiting]
    dynamodb_calls.clear()

    found = [waitlist.get(student, entry).position for student, entry in entries]

    assert found == [1, 2, 3, 4]
    row_and_counters = ["GetItem", "GetItem"]
    assert dynamodb_calls == [*row_and_counters, *[*row_and_counters, "Query"] * 2, *row_and_counters]


def test_position_in_the_response_counts_who_waits(owner: Caller, course: Course, waiting: list[Caller]) -> None:
    waitlist.leave(waiting[0], entry_id(waiting[0], course))
    late = create_user(Role.STUDENT)

    entry = enrollments.enroll_or_wait(late, course.id)

    assert getattr(entry, "position", None) == positions(late, course)[late.id] == 5


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_have_each_entry_once_in_both_directions(
    owner: Caller, course: Course, waiting: list[Caller], limit: int
) -> None:
    waitlist.leave(waiting[2], entry_id(waiting[2], course))
    expected = [(waiting[index].id, position) for index, position in [(0, 1), (1, 2), (3, 3), (4, 4)]]
    pages, cursor = [], None
    while True:
        page = waitlist.list_entries(owner, PageRequest(limit, cursor), course.id)
        pages.append([(entry.student, entry.position) for entry in page.items])
        if page.next_cursor is None:
            break
        cursor = page.next_cursor

    assert [entry for page_of_entries in pages for entry in page_of_entries] == expected
    back = []
    while page.previous_cursor is not None:
        page = waitlist.list_entries(owner, PageRequest(limit, page.previous_cursor), course.id)
        back.append([(entry.student, entry.position) for entry in page.items])
    assert back == pages[-2::-1]


def test_pages_of_own_entries_have_each_once(owner: Caller) -> None:
    student = create_user(Role.STUDENT)
    full = [create_course(owner, capacity=1, waitlist=5) for _ in range(5)]
    for course in full:
        join(course)
        join(course, student)
    enrollments.enroll(student, create_course(owner).id)
    seen, cursor = [], None
    while True:
        page = waitlist.list_entries(student, PageRequest(2, cursor), None)
        seen += [entry.course for entry in page.items]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor

    assert seen == sorted(course.id for course in full)
    assert page.previous_cursor is not None and page.previous_cursor.backward
    previous = waitlist.list_entries(student, PageRequest(2, page.previous_cursor), None)
    assert [entry.course for entry in previous.items] == seen[2:4]


@pytest.mark.parametrize("is_settled", [False, True])
def test_page_before_the_first_waiting_entry_is_empty(
    owner: Caller, course: Course, waiting: list[Caller], is_settled: bool
) -> None:
    if is_settled:
        [*place_settlement.settle(course.id, 0)]
    cursor = Cursor("0000000002", backward=True)

    assert waitlist.list_entries(owner, PageRequest(5, cursor), course.id).items == []


def test_entry_is_for_its_student_the_owner_and_admins(
    owner: Caller, admin: Caller, course: Course, waiting: list[Caller]
) -> None:
    own = entry_id(waiting[1], course)

    assert [waitlist.get(caller, own).position for caller in (waiting[1], owner, admin)] == [2, 2, 2]
    for stranger in (waiting[0], create_user(Role.INSTRUCTOR)):
        with pytest.raises(NotFound):
            waitlist.get(stranger, own)


def test_entry_of_a_hidden_course_is_not_found_by_strangers(
    owner: Caller, course: Course, waiting: list[Caller]
) -> None:
    own = entry_id(waiting[0], course)
    courses.update(owner, course.id, {"is_published": False}, None)

    assert [waitlist.get(caller, own).position for caller in (waiting[0], owner)] == [1, 1]
    assert [*positions(owner, course)] == [student.id for student in waiting]
    with pytest.raises(NotFound) as hidden:
        waitlist.get(waiting[1], own)
    with pytest.raises(NotFound) as unknown:
        waitlist.get(waiting[1], "0" * 40)

    assert str(hidden.value) == str(unknown.value)


def test_entry_of_a_course_that_is_being_deleted_is_the_first(course: Course, waiting: list[Caller]) -> None:
    """Its counters are deleted before the entries."""
    PlaceCounter(course.id).delete()

    assert waitlist.get(waiting[2], entry_id(waiting[2], course)).position == 1


def test_enrollment_is_no_waiting_entry(owner: Caller, course: Course) -> None:
    student = join(course)

    with pytest.raises(NotFound):
        waitlist.get(student, entry_id(student, course))
    with pytest.raises(NotFound):
        waitlist.get(student, "0" * 40)


def test_entry_is_deleted_by_its_student_or_an_admin(
    owner: Caller, admin: Caller, course: Course, waiting: list[Caller]
) -> None:
    with pytest.raises(Forbidden):
        waitlist.leave(owner, entry_id(waiting[0], course))
    with pytest.raises(NotFound):
        waitlist.leave(waiting[1], entry_id(waiting[0], course))

    waitlist.leave(waiting[0], entry_id(waiting[0], course))
    waitlist.leave(admin, entry_id(waiting[1], course))

    assert [*positions(owner, course)] == [student.id for student in waiting[2:]]
    with pytest.raises(NotFound):
        waitlist.leave(waiting[0], "0" * 40)
