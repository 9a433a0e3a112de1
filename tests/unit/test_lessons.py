from decimal import Decimal

import pytest

from chalicelib.callers import Caller
from chalicelib.errors import Forbidden, Invalid
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.roles import Role
from chalicelib.services import courses, lessons

TEACHER = Caller("t" * 16, "teacher", Role.INSTRUCTOR, "s")
RIVAL = Caller("r" * 16, "rival", Role.INSTRUCTOR, "s")


def add(caller: Caller, course_id: str) -> Lesson:
    return lessons.create(caller, course_id, title="First", content="", duration_min=5, order_index=1)


def test_a_lesson_counts(aws: None) -> None:
    course = courses.create(TEACHER, title="One", description="", price=Decimal(0), is_published=True)

    lesson = add(TEACHER, course.id)
    add(TEACHER, course.id)

    counted = Course.find(course.id)
    assert counted is not None
    assert counted.lessons_count == len([*Lesson.query(course.id)]) == 2
    assert counted.version == course.version + 2
    assert lesson.id.startswith(course.id)


def test_lessons_are_the_owners(aws: None) -> None:
    course = courses.create(TEACHER, title="One", description="", price=Decimal(0), is_published=True)
    draft = courses.create(TEACHER, title="Two", description="", price=Decimal(0), is_published=False)

    with pytest.raises(Forbidden):
        add(RIVAL, course.id)
    for unknown in (draft.id, "0" * 16, "nope"):
        with pytest.raises(Invalid):
            add(RIVAL, unknown)
