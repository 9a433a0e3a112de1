"""Writes of courses and lessons that meet another write after their read: nothing is lost or counted twice."""

from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.models.base import AlreadyCreated, StaleRead
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import courses, lessons
from tests.factories import create_course

AT = "2026-11-22T09:30:00.000000Z"
LATER = "2026-11-22T09:31:00.000000Z"
LESSON = {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}


def course_of(course_id: str) -> Course:
    course = Course.find(course_id)
    assert course is not None
    return course


def test_deletion_of_a_changed_course_is_stale(owner: Caller) -> None:
    course = create_course(owner)
    courses.update(owner, course.id, {"title": "Changed"}, None)

    with pytest.raises(StaleRead):
        course.soft_delete(AT)
    assert course_of(course.id).title == "Changed"


def test_course_tombstone_is_purged_only_when_old(owner: Caller) -> None:
    course = create_course(owner)
    assert not Course.purge_tombstone(course.id, "9999"), "it is no tombstone"
    course.soft_delete(AT)

    assert not Course.purge_tombstone(course.id, AT)
    assert Course.purge_tombstone(course.id, LATER)
    assert Course.get_or_none(course.id) is None


def test_keywords_added_again_are_kept(owner: Caller) -> None:
    first = create_course(owner, title="Knots and links")
    second = courses.update(owner, first.id, {"title": "Only knots"}, None)
    courses.update(owner, first.id, {"title": "Links again"}, None)

    second.stale_keywords = {"links"}  # the process that wrote `second` comes to it only now
    with pytest.raises(StaleRead):
        second.finish_last_edit()

    assert ("keyword#links", first.id) in {(str(row.listing), row.course_id) for row in CourseListing.scan()}


def test_existing_course_is_not_created_again(owner: Caller) -> None:
    course = create_course(owner, title="The first")
    courses.update(owner, course.id, {"title": "The second"}, None)

    with pytest.raises(AlreadyCreated):
        course.create(owner)
    assert course_of(course.id).title == "The second"


def test_write_of_a_changed_lesson_is_stale(owner: Caller) -> None:
    course = create_course(owner)
    stale = lessons.create(owner, course.id, LESSON)
    lessons.update(owner, stale.id, {"title": "Changed"}, None)
    new = Lesson(**(stale.attribute_values | {"content": "Lost", "version": 2}))

    with pytest.raises(StaleRead):
        new.replace(stale)
    with pytest.raises(StaleRead):
        stale.delete_from(course_of(course.id))
    kept = Lesson.find(stale.id)
    assert kept and (kept.title, kept.content, kept.version) == ("Changed", "", 2)


def test_second_deletion_of_a_lesson_is_not_counted(owner: Caller) -> None:
    course = create_course(owner)
    lesson, _ = lessons.create(owner, course.id, LESSON), lessons.create(owner, course.id, LESSON)
    before = course_of(course.id)
    lesson.delete_from(before)

    with pytest.raises(StaleRead):
        lesson.delete_from(before)
    assert course_of(course.id).lessons_count == 1


def test_lesson_is_created_once(owner: Caller) -> None:
    course = create_course(owner)
    lesson = lessons.create(owner, course.id, LESSON)

    with pytest.raises(AlreadyCreated):
        Lesson(**lesson.attribute_values).create(course)
    assert course_of(course.id).lessons_count == 1


@pytest.mark.parametrize("change", ["delete", "unpublish"])
def test_lessons_of_a_course_changed_meanwhile_are_stale(owner: Caller, change: str) -> None:
    course = create_course(owner)
    lesson = lessons.create(owner, course.id, LESSON)
    before = course_of(course.id)
    if change == "delete":
        courses.delete(owner, course.id, None)
    else:
        courses.update(owner, course.id, {"is_published": False}, None)
    fields: dict[str, Any] = LESSON | {"created_at": AT}
    added = Lesson(course.id, "0" * 8, **fields)

    with pytest.raises(StaleRead):
        added.create(before)
    with pytest.raises(StaleRead):
        lesson.delete_from(before)
    assert [row.id for row in Lesson.query(course.id)] == [lesson.id]


def test_lesson_of_a_deleted_course_is_not_replaced(owner: Caller) -> None:
    course = create_course(owner)
    lesson = lessons.create(owner, course.id, LESSON)
    courses.delete(owner, course.id, None)

    with pytest.raises(StaleRead):
        Lesson(**(lesson.attribute_values | {"title": "Orphan", "version": 2})).replace(lesson)
    assert [row.title for row in Lesson.query(course.id)] == ["A lesson"]
