from decimal import Decimal

import pytest

from chalicelib import ids
from chalicelib.callers import Caller
from chalicelib.errors import Forbidden, NotFound
from chalicelib.models import course_lists
from chalicelib.models.course_lists import CourseListRow
from chalicelib.models.courses import Course
from chalicelib.roles import Role
from chalicelib.services import courses

TEACHER = Caller("t" * 16, "teacher", Role.INSTRUCTOR, "s")
STUDENT = Caller("s" * 16, "student", Role.STUDENT, "s")


def make(**fields: object) -> Course:
    wanted = {"title": "A title", "description": "", "price": Decimal("1.50"), "is_published": True} | fields
    return courses.create(TEACHER, **wanted)  # type: ignore[arg-type]


def test_a_course_is_in_all_its_lists_as_soon_as_it_is_there(aws: None) -> None:
    course = make(title="Élan vital", description="the élan, again")

    rows = {(row.list, row.course_id) for row in CourseListRow.scan()}

    lists = ["all", "published", f"owner#{TEACHER.id}"]
    words = ["elan", "vital", "the", "again"]
    expected = [f"{name}#{order}" for name in lists for order in ("date", "price")] + [f"word#{word}" for word in words]
    assert rows == {(name, course.id) for name in expected}


def test_a_draft_is_in_no_public_list(aws: None) -> None:
    make(is_published=False)

    assert {str(row.list) for row in CourseListRow.scan()} == {
        "all#date", "all#price", f"owner#{TEACHER.id}#date", f"owner#{TEACHER.id}#price",
    }  # fmt: skip


def test_the_fullest_course_fits_one_transaction(aws: None) -> None:
    description = " ".join(f"word{number}" for number in range(500))

    course = make(description=description)

    assert len(course_lists.rows_of(course)) == 6 + 60
    assert Course.find(course.id) is not None


def test_students_make_none(aws: None) -> None:
    with pytest.raises(Forbidden):
        courses.create(STUDENT, title="Mine", description="", price=Decimal(0), is_published=True)


def test_a_draft_does_not_exist_for_others(aws: None) -> None:
    draft = make(is_published=False)
    rival = Caller("r" * 16, "rival", Role.INSTRUCTOR, "s")
    admin = Caller("a" * 16, "admin", Role.ADMIN, "s")

    assert courses.read(TEACHER, draft.id).id == courses.read(admin, draft.id).id == draft.id
    for visitor in (rival, STUDENT, None):
        with pytest.raises(NotFound):
            courses.read(visitor, draft.id)


def test_words_are_the_first_sixty_distinct_without_case_and_accents() -> None:
    assert course_lists.words("Über die Über-Straße", "ÜBER Köln") == ["uber", "die", "strasse", "koln"]
    assert len(course_lists.words(" ".join(f"w{n}" for n in range(100)))) == 60
    assert course_lists.words("x" * 200) == ["x" * 64]


def test_ids_carry_what_they_belong_to() -> None:
    student, course, nonce = ids.entity(), ids.entity(), ids.nonce()

    assert ids.split_enrollment(ids.enrollment(student, course, nonce)) == (student, course, nonce)
    assert ids.split_enrollment("nope") is None
    assert ids.split_enrollment("é" * 40) is None
    assert len({ids.entity() for _ in range(1000)}) == 1000
