"""The errors of places, waitlists, and the emails of an account, as clients get them."""

import pytest

from chalicelib.core.errors import Conflict, Forbidden, InvalidInput, NotFound, TooManyAttempts
from chalicelib.core.pagination import PageRequest
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.place_counters import PlaceCounter
from chalicelib.models.throttles import Throttle
from chalicelib.models.users import User
from chalicelib.services import (
    account_recovery,
    accounts,
    eligibility,
    places,
    rate_limits,
    unsubscription,
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
UNVERIFIED = User(STUDENT.id, role="student", is_active=True, email_verified=False)
VERIFIED = User(STUDENT.id, role="student", is_active=True, email_verified=True)

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
    (
        {
            (eligibility, "access_together"): gives([(None, UNVERIFIED), {}]),
            (eligibility, "settings"): gives(
                type("Settings", (), {"is_email_verification_required": True, "enrollments_per_student": 1})
            ),
            (eligibility, "_quotas"): gives(()),
        },
        lambda: eligibility.require(STUDENT.id, ID),
        Forbidden,
        "Verify your email address before you enroll.",
        [("email", "email_unverified", "Verify your email address before you enroll.")],
    ),
    (
        {},
        lambda: unsubscription.parse_token("x"),
        InvalidInput,
        "The input is invalid.",
        [("token", "invalid_token", "The link is incomplete.")],
    ),
    (
        {(Throttle, "reserve"): gives(Throttle("s", expires_at=2**40))},
        lambda: rate_limits.count_email_change(STUDENT.id),
        TooManyAttempts,
        "Too many changes of the email address. Retry later.",
        [],
    ),
    (
        {(accounts, "get_profile"): gives(VERIFIED)},
        lambda: account_recovery.request_verification(STUDENT),
        Conflict,
        "The email address is verified already.",
        [],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case[2].__name__}" for number, case in enumerate(CASES)])
def test_error_of_a_call(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    assert_error(monkeypatch, case)
