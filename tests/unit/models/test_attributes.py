"""Every attribute of a course and a user is classified: exposed, cached, erased or internal.

A new attribute fails these tests until it is in the list where it belongs.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynamodb.attributes import UnicodeAttribute

from chalicelib.core.pagination import Cursor, Page
from chalicelib.models import base
from chalicelib.models.active_admins import ACTIVE_ADMINS_ID, ActiveAdmins
from chalicelib.models.courses import Course
from chalicelib.models.email_sweeps import EmailSweep
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.models.users import User
from chalicelib.schemas.accounts import UserRead
from chalicelib.schemas.courses import CourseRead
from chalicelib.schemas.lessons import LessonRead
from chalicelib.services import rendered_text
from chalicelib.services.rendering import LessonsOfCourse, lock_lesson, render_course, render_lesson

# Text of a course that is neither content nor personal data, so that its tombstone keeps it.
NOT_PERSONAL = {"id", "owner_id", "created_at", "updated_at", "opens_at", "closes_at", "lessons_for"}
EXPOSED_BY_OTHER_NAMES = {"price_cents": "price"}


@pytest.mark.parametrize(
    ("first", "query"),
    [
        (lambda: EmailSweep.of(Enrollment, "0"), lambda: [*Enrollment.failed_emails()]),
        (lambda: ActiveAdmins.get_or_none(ACTIVE_ADMINS_ID), User.active_admins),
    ],
    ids=["enrollments", "users"],
)
def test_indexes_are_known_when_another_model_of_the_table_is_first(
    aws: None, first: Callable[[], object], query: Callable[[], object]
) -> None:
    base.reset()

    first()

    assert query() == []


@pytest.mark.parametrize("table", base.Table.__subclasses__(), ids=lambda table: table.__name__)
def test_rows_are_read_as_by_pynamodb(table: type[base.Table]) -> None:
    """With all attributes, with half of them, and with none."""
    examples = {"S": "7", "N": "7", "BOOL": True, "SS": ["a", "b"]}
    attributes = [*table.get_attributes().values()]
    for chosen in (attributes, attributes[::2], attributes[1::2], []):
        item = {attribute.attr_name: {attribute.attr_type: examples[attribute.attr_type]} for attribute in chosen}
        item["unknown"] = {"S": "of a later release"}

        assert table.from_raw_data(item).attribute_values == table._instantiate(item).attribute_values


def course_with_all_attributes() -> Course:
    values: dict[str, Any] = {}
    for number, (name, attribute) in enumerate(Course.get_attributes().items(), start=1):
        if name not in Course.TOMBSTONE_ATTRIBUTES + Course.INTERNAL_ATTRIBUTES:
            values[name] = f"text {number}" if isinstance(attribute, UnicodeAttribute) else number
    return Course(**values | {"is_published": True, "lessons_for": "enrolled"})


def test_course_without_enrollment_settings_has_the_fields_of_before() -> None:
    fields: dict[str, Any] = {"owner_id": "o", "owner": "ada", "created_at": "c", "updated_at": "u"}
    course = Course("i", title="T", description="", price_cents=0, is_published=True, **fields)

    assert render_course(course).json == (
        '{"id":"i","title":"T","description":"","price":"0.00","is_published":true,"owner":"ada","owner_id":"o",'
        '"created_at":"c","updated_at":"u","lessons_count":0}'
    )


def test_course_attribute_is_exposed_or_internal() -> None:
    exposed = {EXPOSED_BY_OTHER_NAMES.get(name, name) for name in Course.get_attributes()}

    assert exposed - CourseRead.model_fields.keys() == {
        *Course.TOMBSTONE_ATTRIBUTES,
        *Course.INTERNAL_ATTRIBUTES,
        "version",
    }
    assert CourseRead.model_fields.keys() - exposed == set()


def test_rendered_course_is_that_of_the_schema() -> None:
    course = course_with_all_attributes()

    assert render_course(course).json == CourseRead.from_model(course).model_dump_json()
    assert rendered_text.course_from_text(rendered_text.course_to_text(render_course(course))) == render_course(course)


@given(st.text(), st.text(), st.integers(0, 9_999_999_999), st.booleans())
def test_any_course_is_rendered_as_by_the_schema(title: str, description: str, cents: int, is_published: bool) -> None:
    values = {"title": title, "description": description, "price_cents": cents, "is_published": is_published}
    course = Course(**(course_with_all_attributes().attribute_values | values))

    rendered = render_course(course)

    assert rendered.json == CourseRead.from_model(course).model_dump_json()
    assert rendered_text.course_from_text(rendered_text.course_to_text(rendered)) == rendered


@given(st.text(), st.text(), st.integers(1, 2**31), st.integers(0, 2**31))
def test_any_lesson_is_rendered_as_by_the_schema(title: str, content: str, duration: int, order: int) -> None:
    lesson = Lesson("c" * 16, "s" * 8, title=title, content=content, duration_min=duration, order_index=order)

    rendered = render_lesson(lesson)

    assert rendered.json == LessonRead.from_model(lesson).model_dump_json()
    lessons = LessonsOfCourse("owner", True, "enrolled", Page([rendered], Cursor("key"), None))
    assert rendered_text.lessons_from_text(rendered_text.lessons_to_text(lessons)) == lessons


def test_locked_lesson_is_that_of_the_schema() -> None:
    lesson = Lesson("c" * 16, "s" * 8, title='"T"', content="Für alle", duration_min=5, order_index=1)

    locked = lock_lesson(render_lesson(lesson))

    read = LessonRead.from_model(lesson).model_copy(update={"locked": True})
    assert locked.json == read.model_dump_json(exclude={"content"})
    assert locked.json.endswith(',"locked":true}')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[]\nx",
        "{}\n",
        '[[], [["id", "owner", true, 1, 2]]]\nx',
        '[[], [["id"]]]\nx',
        '[[], [["id", "owner", true, 1, null, null, false, 2]]]\nx',
        '[[], [["id", "owner", true, 1, null, null, false, 1]]]\nxx',
        "[[], [[]]]\nx",
        "[[], [{}]]\nx",
        "null\n",
        "[[], []]\n",
    ],
)
def test_malformed_cache_entry_is_an_error(text: str) -> None:
    """Which the cache treats as a miss."""
    with pytest.raises((ValueError, TypeError)):
        rendered_text.course_from_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        "null\n",
        "[[null, null], 1]",
        "[[null, null], 1]\n",
        "[[null, null], 1]\nxx",
        "[[null, null]]\n",
        "[[null], 0]\n",
        "[[null, null, null], 0]\n",
        "[[null, 1], 0]\n",
        '[[null, null], [["id", "owner", true, 1, null, null, false, 1]]]\nx',  # of an earlier release
    ],
)
def test_malformed_page_of_courses_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        rendered_text.page_from_text(text)


def test_cached_lessons_without_an_audience_are_an_error() -> None:
    """Which the cache treats as a miss: those of an earlier release, whose content would be for everyone."""
    with pytest.raises(ValueError, match="unpack"):
        rendered_text.lessons_from_text('[["owner", true, null, null], []]\n')


def test_course_text_is_erased_or_not_personal() -> None:
    texts = {name for name, attribute in Course.get_attributes().items() if isinstance(attribute, UnicodeAttribute)}

    assert texts - {*Course.TOMBSTONE_ATTRIBUTES} | {"stale_keywords"} == {*Course.ERASED_BY_DELETION} | NOT_PERSONAL


def test_user_attribute_is_exposed_erased_or_internal() -> None:
    classified = UserRead.model_fields.keys() | {*User.ERASED_BY_DELETION, *User.INTERNAL_ATTRIBUTES}

    assert {*User.get_attributes()} == classified


def test_personal_attributes_of_a_user_are_erased() -> None:
    assert {"username", "email", "password_hash"} <= {*User.ERASED_BY_DELETION}
