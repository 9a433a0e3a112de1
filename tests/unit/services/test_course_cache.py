"""What writes of courses and lessons invalidate: as little as possible, and never less than they change."""

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.adapters.cache.invalidation import Change
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.services import course_cache, courses, lessons
from tests.factories import create_course, create_user

LESSON = {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}
WORDS = {"word:knots", "word:of", "word:old"}
CREATED_AT = datetime(2026, 11, 28, 9, 30, 59, 999_999, UTC)  # 1795858259 in Unix time
BY_DATE = {f"created_at:{magnitude}:{1795858259 // 10**magnitude}" for magnitude in range(10)}
FREE = {f"price:{magnitude}:{1795858259 // 10**magnitude}" for magnitude in range(20)}
FOR_7 = {f"price:{magnitude}:{700_1795858259 // 10**magnitude}" for magnitude in range(20)}


@pytest.fixture
def teacher(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The scopes that were invalidated, with their tags; all of the scope if there are none."""
    scopes: dict[str, set[str]] = {}

    def note(*changes: Change, **_: Any) -> AbstractContextManager[None]:
        scopes.update({change.scope: {*change.tags} for change in changes})
        return nullcontext()

    monkeypatch.setattr(course_cache, "_invalidating", note)
    return scopes


def course_of(teacher: Caller, *, is_published: bool = True) -> Course:
    fields = {"title": "Knots of old", "description": "Old knots.", "is_published": is_published}
    return create_course(teacher, CREATED_AT, **fields)


def test_new_published_course_changes_its_positions_and_the_searches_for_its_words(
    teacher: Caller, changed: dict[str, set[str]]
) -> None:
    course = course_of(teacher)

    assert changed == {f"course:{course.id}": set(), "courses": {course.id} | BY_DATE | FREE | WORDS}


def test_draft_is_in_no_list(teacher: Caller, changed: dict[str, set[str]]) -> None:
    course = course_of(teacher, is_published=False)
    courses.update(teacher, course.id, {"title": "Links"}, None)
    lesson = lessons.create(teacher, course.id, LESSON)
    lessons.delete(teacher, lesson.id, None)
    courses.delete(teacher, course.id, None)

    assert changed == {f"course:{course.id}": set()}


@pytest.mark.parametrize(
    ("fields", "tags"),
    [
        ({"price_cents": 700}, FREE | FOR_7),
        ({"description": "Knots of old, old knots!"}, set()),
        ({"description": "Old ropes."}, {"word:ropes"}),
        ({"title": "Knots of today"}, {"word:today"}),
        ({"title": "Links", "description": ""}, {"word:links"} | WORDS),
        ({"is_published": False}, BY_DATE | FREE | WORDS),
        ({"is_published": False, "title": "Links"}, BY_DATE | FREE | WORDS),
    ],
)
def test_change_of_a_course_changes_what_depends_on_it(
    teacher: Caller, changed: dict[str, set[str]], fields: dict[str, Any], tags: set[str]
) -> None:
    course = course_of(teacher)
    changed.clear()

    courses.update(teacher, course.id, fields, None)

    assert changed == {f"course:{course.id}": set(), "courses": {course.id} | tags}


@pytest.mark.parametrize("is_deleted", [True, False])
def test_course_that_is_published_or_deleted_changes_what_a_new_one_does(
    teacher: Caller, changed: dict[str, set[str]], is_deleted: bool
) -> None:
    course = course_of(teacher, is_published=is_deleted)
    changed.clear()

    if is_deleted:
        courses.delete(teacher, course.id, None)
    else:
        courses.update(teacher, course.id, {"is_published": True}, None)

    assert changed == {f"course:{course.id}": set(), "courses": {course.id} | BY_DATE | FREE | WORDS}


def test_new_or_deleted_lesson_changes_its_course_alone(teacher: Caller, changed: dict[str, set[str]]) -> None:
    course = course_of(teacher)
    changed.clear()

    lesson = lessons.create(teacher, course.id, LESSON)
    assert changed == {f"course:{course.id}": set(), "courses": {course.id}}
    changed.clear()
    lessons.delete(teacher, lesson.id, None)
    assert changed == {f"course:{course.id}": set(), "courses": {course.id}}


def test_changed_lesson_changes_the_lessons_of_its_course(teacher: Caller, changed: dict[str, set[str]]) -> None:
    course = course_of(teacher)
    lesson = lessons.create(teacher, course.id, LESSON)
    changed.clear()

    lessons.update(teacher, lesson.id, {"content": "New"}, None)

    assert changed == {f"course:{course.id}": {"lessons"}}
