"""The errors of courses, lessons and enrollments, as clients get them."""

import pytest

from chalicelib.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    PreconditionFailed,
)
from chalicelib.core.pagination import PageRequest
from chalicelib.models.courses import Course, OwnerDeleted, WriterOutdated
from chalicelib.models.enrollments import AlreadyEnrolled, Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.services import (
    course_cache,
    courses,
    enrollments,
    lessons,
)
from tests.unit.services.error_cases import (
    COURSE,
    ID,
    INSTRUCTOR,
    LESSON_ID,
    OWNER,
    STUDENT,
    VISIBLE,
    Case,
    assert_error,
    gives,
    raises,
)

pytestmark = pytest.mark.usefixtures("no_aws")

CASES: list[Case] = [
    # Courses
    ({}, lambda: courses.create(STUDENT, {}), Forbidden, "Only instructors and admins can create courses.", []),
    (
        {(Course, "create"): raises(WriterOutdated())},
        lambda: courses.create(OWNER, {"is_published": False}),
        NotAuthenticated,
        "The account of this token was changed or erased. Log in again.",
        [],
    ),
    ({(course_cache, "get"): gives(None)}, lambda: courses.get(None, ID), NotFound, "Course not found.", []),
    (
        {(course_cache, "get"): raises(AssertionError())},
        lambda: courses.get(None, "x"),
        NotFound,
        "Course not found.",
        [],
    ),
    (
        VISIBLE,
        lambda: courses.update(INSTRUCTOR, ID, {}, None),
        Forbidden,
        "Only the course's owner and admins can change it.",
        [],
    ),
    (
        VISIBLE,
        lambda: courses.delete(OWNER, ID, frozenset({2, 4})),
        PreconditionFailed,
        "The course has changed since you read it.",
        [],
    ),
    (
        VISIBLE | {(Course, "replace"): raises(OwnerDeleted())},
        lambda: courses.update(OWNER, ID, {"title": "Other"}, None),
        NotFound,
        "Course not found.",
        [],
    ),
    (
        {},
        lambda: courses.list_courses(None, PageRequest(20), ordering="price", own=True),
        InvalidInput,
        "The input is invalid.",
        [("owner", "anonymous", "`owner=me` requires authentication.")],
    ),
    # Lessons
    ({(Lesson, "find"): gives(None)}, lambda: lessons.get(None, LESSON_ID), NotFound, "Lesson not found.", []),
    (
        VISIBLE | {(Course, "find"): gives(None)},
        lambda: lessons.get(None, LESSON_ID),
        NotFound,
        "Lesson not found.",
        [],
    ),
    (
        {(Course, "find"): gives(None)},
        lambda: lessons.create(OWNER, ID, {}),
        InvalidInput,
        "The input is invalid.",
        [("course", "does_not_exist", "Course not found.")],
    ),
    (
        VISIBLE,
        lambda: lessons.create(INSTRUCTOR, ID, {}),
        Forbidden,
        "Only the course's owner and admins can change its lessons.",
        [],
    ),
    (
        VISIBLE,
        lambda: lessons.update(OWNER, LESSON_ID, {"course": "f" * 16}, None),
        InvalidInput,
        "The input is invalid.",
        [("course", "fixed", "A lesson cannot be moved to another course.")],
    ),
    (
        VISIBLE,
        lambda: lessons.delete(OWNER, LESSON_ID, frozenset()),
        PreconditionFailed,
        "The lesson has changed since you read it.",
        [],
    ),
    # Enrollments
    ({}, lambda: enrollments.enroll(OWNER, ID), Forbidden, "Only students can enroll.", []),
    (
        {(course_cache, "get"): gives(None)},
        lambda: enrollments.enroll(STUDENT, ID),
        InvalidInput,
        "The input is invalid.",
        [("course", "does_not_exist", "The course does not exist or is not published.")],
    ),
    (
        {(course_cache, "get"): gives(COURSE), (Enrollment, "insert"): raises(AlreadyEnrolled())},
        lambda: enrollments.enroll(STUDENT, ID),
        Conflict,
        "You are already enrolled in this course.",
        [],
    ),
    (
        {},
        lambda: enrollments.withdraw(OWNER, ID),
        Forbidden,
        "Only the student and admins can delete an enrollment.",
        [],
    ),
    (
        {(Enrollment, "find"): gives(None)},
        lambda: enrollments.withdraw(STUDENT, ID),
        NotFound,
        "Enrollment not found.",
        [],
    ),
    (
        {(Enrollment, "find"): gives(Enrollment(STUDENT.id, ID)), (Enrollment, "delete_batch"): gives(0)},
        lambda: enrollments.withdraw(STUDENT, ID),
        NotFound,
        "Enrollment not found.",
        [],
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_error(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    assert_error(monkeypatch, case)
