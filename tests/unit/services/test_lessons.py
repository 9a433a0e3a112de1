import itertools

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import Forbidden, InvalidInput, NotFound, PreconditionFailed
from chalicelib.core.pagination import Cursor, PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import courses, lesson_listing, lessons
from tests.factories import create_course, create_user

_numbers = itertools.count()


@pytest.fixture
def teacher(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


def add(caller: Caller, course_id: str, order_index: int = 1, content: str = "") -> Lesson:
    title = f"Lesson {next(_numbers)}"
    fields = {"title": title, "content": content, "duration_min": 5, "order_index": order_index}
    return lessons.create(caller, course_id, fields)


def counted(course: Course) -> int:
    found = Course.find(course.id)
    assert found is not None
    assert found.lessons_count == len([*Lesson.query(course.id)])
    return int(found.lessons_count)


def walk(visitor: Caller | None, course_id: str | None = None, limit: int = 3) -> list[str]:
    """The ids of all lessons, page by page; the way back gives the same."""
    place, ids = None, []
    while True:
        page = lesson_listing.list_lessons(visitor, PageRequest(limit, place), course_id)
        assert len(page.items) <= limit
        ids += [lesson.id for lesson in page.items]
        if page.next_cursor is None:
            break
        place = page.next_cursor
    assert ids[len(ids) - len(page.items) :] == [lesson.id for lesson in page.items]
    backward = [lesson.id for lesson in page.items]
    while page.previous_cursor:
        page = lesson_listing.list_lessons(visitor, PageRequest(limit, page.previous_cursor), course_id)
        backward = [lesson.id for lesson in page.items] + backward
    assert backward == ids
    return ids


def test_lessons_count_follows_create_and_delete(teacher: Caller) -> None:
    course = create_course(teacher)

    lesson, other = add(teacher, course.id), add(teacher, course.id)
    assert counted(course) == 2
    lessons.delete(teacher, lesson.id, None)

    assert counted(course) == 1
    assert lessons.get(None, other.id).id == other.id
    for unknown in (lesson.id, "nope", "0" * 24):
        with pytest.raises(NotFound):
            lessons.get(None, unknown)


def test_only_the_owner_edits_lessons(teacher: Caller) -> None:
    rival = create_user(Role.INSTRUCTOR)
    course, draft = create_course(teacher), create_course(teacher, is_published=False)
    lesson, secret = add(teacher, course.id), add(teacher, draft.id)

    with pytest.raises(Forbidden):
        add(rival, course.id)
    with pytest.raises(Forbidden):
        lessons.update(rival, lesson.id, {"title": "Mine now"}, None)
    with pytest.raises(NotFound):
        lessons.delete(rival, secret.id, None)
    for unknown in (draft.id, "0" * 16, "nope"):
        with pytest.raises(InvalidInput):
            add(rival, unknown)


def test_lesson_update_keeps_other_fields(teacher: Caller) -> None:
    course, other = create_course(teacher), create_course(teacher)
    lesson = add(teacher, course.id, content="Kept")

    changed = lessons.update(teacher, lesson.id, {"order_index": 7}, frozenset({1}))

    assert (changed.content, changed.order_index, changed.version) == ("Kept", 7, 2)
    assert changed.sort_key.startswith("0000000007#")
    with pytest.raises(PreconditionFailed):
        lessons.update(teacher, lesson.id, {"order_index": 8}, frozenset({1}))
    with pytest.raises(InvalidInput):
        lessons.update(teacher, lesson.id, {"course": other.id}, None)
    assert lessons.update(teacher, lesson.id, {"course": course.id}, None).version == 2


def test_lessons_of_a_course_are_in_order(teacher: Caller) -> None:
    course = create_course(teacher)
    third, first, second = add(teacher, course.id, 30), add(teacher, course.id, 4), add(teacher, course.id, 4)

    assert walk(None, course.id, limit=2) == [first.id, second.id, third.id]
    assert walk(None, "nope") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_lessons_across_courses_are_newest_course_first(
    teacher: Caller, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson_listing, "MAX_COURSES_PER_PAGE", 2)
    expected: list[list[str]] = []
    for count in (2, 0, 0, 0, 3, 1):
        course = create_course(teacher)
        expected.insert(0, [add(teacher, course.id, order).id for order in range(count)])
    draft = create_course(teacher, is_published=False)
    secret = add(teacher, draft.id).id
    published = [*itertools.chain(*expected)]

    assert walk(None, limit=limit) == walk(create_user(Role.STUDENT), limit=limit) == published
    assert walk(teacher, limit=limit) == [secret, *published]


def test_lessons_of_a_deleted_course_are_not_found(teacher: Caller) -> None:
    course = create_course(teacher)
    lesson = add(teacher, course.id)

    courses.delete(teacher, course.id, None)

    with pytest.raises(NotFound):
        lessons.get(teacher, lesson.id)
    assert walk(teacher) == []
    assert walk(teacher, course.id) == []


def test_page_of_long_lessons_is_trimmed(teacher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.core.pagination.MAX_PAGE_BYTES", 2_500)
    monkeypatch.setattr(lesson_listing, "_LOAD_BATCH_SIZE", 2)
    course = create_course(teacher)
    ids = [add(teacher, course.id, order, content="x" * 1_000).id for order in range(7)]

    assert walk(None, course.id, limit=100) == ids
    assert walk(None, limit=100) == ids
    page = lesson_listing.list_lessons(None, PageRequest(100), course.id)
    assert len(page.items) == 2
    assert isinstance(page.next_cursor, Cursor)
