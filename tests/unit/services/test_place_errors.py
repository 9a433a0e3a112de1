"""The errors of places and waitlists, as clients get them."""

import pytest

from chalicelib.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from chalicelib.core.pagination import PageRequest
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.services import (
    eligibility,
    places,
    waitlist,
)
from tests.unit.services.error_cases import (
    ID,
    INSTRUCTOR,
    OWNER,
    STUDENT,
    VISIBLE,
    Case,
    Replacements,
    assert_error,
    gives,
)

pytestmark = pytest.mark.usefixtures("no_aws")

PAGE = PageRequest(20)
FULL: Replacements = {(eligibility, "require"): gives(None), (PlaceCounter, "draw"): gives(None)}
NO_ENTRY: Replacements = {(Enrollment, "find"): gives(None)}

CASES: list[Case] = [
    (
        FULL,
        lambda: places.join(STUDENT.id, ID, "", None, can_wait=False),
        Conflict,
        "The course is full.",
        [("course", "full", "The course is full.")],
    ),
    (
        FULL,
        lambda: places.join(STUDENT.id, ID, "", None, can_wait=True),
        Conflict,
        "The course is full, and so is its waitlist.",
        [("course", "waitlist_full", "The course is full, and so is its waitlist.")],
    ),
    (NO_ENTRY, lambda: waitlist.get(STUDENT, ID), NotFound, "Waiting entry not found.", []),
    (NO_ENTRY, lambda: waitlist.leave(STUDENT, ID), NotFound, "Waiting entry not found.", []),
    (
        {},
        lambda: waitlist.leave(INSTRUCTOR, ID),
        Forbidden,
        "Only the student and admins can delete a waiting entry.",
        [],
    ),
    (
        {},
        lambda: waitlist.list_entries(OWNER, PAGE, None),
        InvalidInput,
        "The input is invalid.",
        [("course", "required", "Name the course whose waitlist you want.")],
    ),
    (
        VISIBLE,
        lambda: waitlist.list_entries(INSTRUCTOR, PAGE, ID),
        Forbidden,
        "Only the course's owner and admins can see its waitlist.",
        [],
    ),
    (
        {(Course, "find"): gives(None)},
        lambda: waitlist.list_entries(OWNER, PAGE, ID),
        NotFound,
        "Course not found.",
        [],
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_error(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    assert_error(monkeypatch, case)
