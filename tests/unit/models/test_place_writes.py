"""Writes of places and waiting entries that meet another write after their read, and pages of waiting students."""

from collections.abc import Iterator

import pytest

from chalicelib.core.caller import Caller
from chalicelib.models import places, waitlist
from chalicelib.models.base import ConditionFailed, Transaction, add_nothing
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.places import Place
from tests.unit.conftest import DynamoDbRequest

AT = "2026-11-22T09:30:00.000000Z"
COURSE, STUDENT = "c" * 16, "s" * 16


@pytest.fixture
def counter(aws: None) -> PlaceCounter:
    """The counters of a course with two places and five to wait for one."""
    PlaceCounter.new(COURSE, 2, 5).save()
    counter = PlaceCounter.find(COURSE)
    assert counter is not None
    return counter


def wait(number: int, student: str = STUDENT, suffix: str | None = None) -> Enrollment:
    """Save the waiting entry of a student, and the place with its number."""
    entry = waitlist.new_entry(student, COURSE, AT, "request", number, suffix)
    entry.save()
    Place.of(entry).save()
    return entry


def place(number: int) -> Place:
    return Place.between(COURSE, number, number)[number]


def entry_of(student: str) -> Enrollment | None:
    return Enrollment.find_by_student_and_course(student, COURSE)


def test_number_of_a_student_is_not_declared_void(counter: PlaceCounter) -> None:
    entry = wait(1)

    assert not Place.void(COURSE, 1)
    assert Place.void(COURSE, 2)
    assert not Place.void(COURSE, 2)

    assert (place(1).state, place(1).enrollment_id) == ("waiting", entry.id)
    assert place(2).state == "void"


def test_number_of_a_student_is_not_given_back(counter: PlaceCounter) -> None:
    wait(1)

    places.give_back(COURSE, 1)
    places.give_back(COURSE, 2)
    places.give_back(COURSE, 2)

    counter.refresh()
    assert (place(1).state, place(2).state, counter.left) == ("waiting", "left", 1)


def test_number_whose_student_left_meanwhile_is_not_void(counter: PlaceCounter) -> None:
    """It would be counted as free twice: when the student left, and when the number is settled."""
    entry = wait(1)
    read = place(1)
    assert places.delete(entry, AT, add_nothing)

    read.void_without_entry()

    assert place(1).state == "left"


def test_number_of_another_student_is_not_void(counter: PlaceCounter) -> None:
    wait(1, suffix="1" * 8)
    read = place(1)
    wait(1, "t" * 16, "2" * 8)

    read.void_without_entry()

    assert (place(1).state, place(1).student) == ("waiting", "t" * 16)


def test_number_without_entry_is_void(counter: PlaceCounter) -> None:
    wait(1).delete()

    place(1).void_without_entry()

    assert place(1).state == "void"


def test_entry_of_a_student_who_got_a_place_is_not_deleted(counter: PlaceCounter) -> None:
    entry = wait(1)
    assert waitlist.admit(STUDENT, COURSE, entry.suffix, AT, add_nothing)

    waitlist.delete_entry(STUDENT, COURSE, entry.suffix)

    kept = entry_of(STUDENT)
    assert kept is not None and not kept.is_waiting


def test_entry_of_a_student_who_came_back_is_not_deleted(counter: PlaceCounter) -> None:
    wait(1, suffix="1" * 8)
    wait(2, suffix="2" * 8)

    waitlist.delete_entry(STUDENT, COURSE, "1" * 8)
    kept = entry_of(STUDENT)
    waitlist.delete_entry(STUDENT, COURSE, "2" * 8)

    assert kept is not None and kept.suffix == "2" * 8
    assert entry_of(STUDENT) is None


def test_places_of_a_deleted_course_are_deleted_with_its_entries(
    counter: PlaceCounter, dynamodb_requests: list[DynamoDbRequest]
) -> None:
    wait(1)
    Place.void(COURSE, 2)
    dynamodb_requests.clear()

    assert [*places.delete_all_of_course(COURSE)] == [1, 1]

    assert (PlaceCounter.find(COURSE), Place.between(COURSE, 1, 2), entry_of(STUDENT)) == (None, {}, None)
    assert dynamodb_requests[0].operation == "DeleteItem", "no student joins any more"
    assert dynamodb_requests[1].body["ConsistentRead"]


@pytest.fixture
def waiting(counter: PlaceCounter) -> Iterator[list[int]]:
    """The numbers of those who wait: all from 3 to 9 but one, whose student left."""
    numbers = [3, 4, 5, 7, 8, 9]
    for number in numbers:
        wait(number, f"{number:016d}")
    transaction = Transaction()
    transaction.put(Place(COURSE, places.number_to_text(6), state="left"))
    transaction.run()
    yield numbers


@pytest.mark.parametrize(
    ("after", "backward_from", "expected"),
    [
        (0, None, [3, 4, 5, 7]),
        (3, None, [4, 5, 7, 8]),
        (7, None, [8, 9]),
        (9, None, []),
        (2, 9, [8, 7, 5, 4]),
        (2, 5, [4, 3]),
        (3, 5, [4]),
        (4, 5, []),
        (5, 5, []),
        (6, 5, []),
        (4, 8, [7, 5]),
    ],
)
def test_page_of_waiting_students(
    waiting: list[int], after: int, backward_from: int | None, expected: list[int]
) -> None:
    page = Place.page_of_waiting(COURSE, after=after, backward_from=backward_from, limit=4)

    assert [one.number for one in page] == expected


@pytest.mark.parametrize(
    ("after", "before", "expected"), [(0, 10, 6), (2, 9, 5), (3, 5, 1), (4, 5, 0), (5, 7, 0), (7, 3, 0)]
)
def test_number_of_waiting_students(waiting: list[int], after: int, before: int, expected: int) -> None:
    assert Place.count_waiting(COURSE, after, before) == expected


def test_empty_range_of_numbers_is_not_queried(counter: PlaceCounter, dynamodb_requests: list[DynamoDbRequest]) -> None:
    """DynamoDB refuses a condition BETWEEN whose first value is greater than the second one."""
    dynamodb_requests.clear()
    for after, before in ((4, 5), (5, 5), (6, 5)):
        assert Place.page_of_waiting(COURSE, after=after, backward_from=before, limit=4) == []
        assert Place.count_waiting(COURSE, after, before) == 0

    assert dynamodb_requests == []


def test_page_of_waiting_students_reads_at_least_200_rows(
    counter: PlaceCounter, dynamodb_requests: list[DynamoDbRequest]
) -> None:
    """Those who left are among them."""
    dynamodb_requests.clear()
    for limit in (1, 200, 201):
        Place.page_of_waiting(COURSE, after=0, backward_from=None, limit=limit)

    assert [request.body["Limit"] for request in dynamodb_requests] == [200, 200, 201]


def test_entries_of_a_student_are_no_more_than_asked_for(counter: PlaceCounter) -> None:
    for number in range(4):
        waitlist.new_entry(STUDENT, str(number) * 16, AT, "request", 3).save()

    def courses(after: str | None, backward: bool) -> list[str]:
        rows = waitlist.entries_of_student(STUDENT, after=after, backward=backward, limit=2)
        return [row.course[0] for row in rows]

    assert courses(None, backward=False) == ["0", "1"]
    assert courses("1" * 16, backward=False) == ["2", "3"]
    assert courses("3" * 16, backward=True) == ["2", "1"]


def test_places_between_two_numbers(waiting: list[int]) -> None:
    assert [*Place.between(COURSE, 4, 8)] == [4, 5, 6, 7, 8]


def test_numbers_stay_checked(counter: PlaceCounter) -> None:
    counter.mark_checked(5)
    counter.mark_checked(3)
    counter.refresh()

    assert counter.checked == 5


def test_second_student_of_a_number_is_not_saved(counter: PlaceCounter, student: Caller) -> None:
    wait(1)
    entry = waitlist.new_entry(student.id, COURSE, AT, "request", 1)
    transaction = Transaction()
    Place.of(entry).add_to(transaction)

    with pytest.raises(ConditionFailed):
        transaction.run()

    assert place(1).student == STUDENT
