"""Writes of courses and lessons that another write overtakes: the services read again and decide again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.errors import InvalidInput, NotAuthenticated, NotFound, PreconditionFailed
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.base import StaleRead
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import accounts, course_cache, courses, lesson_listing, lessons
from tests.factories import course_ids, create_course, create_user

LESSON: dict[str, Any] = {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}
START = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def owner(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


@pytest.fixture
def overtake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let another write happen between the read and the first write of an operation."""

    def arrange(model: type[Any], method: str, other: Callable[[], object]) -> None:
        write, done = getattr(model, method), list[bool]()

        def overtaken(self: Any, *arguments: Any) -> Any:
            if not done:
                done.append(True)
                other()
            return write(self, *arguments)

        monkeypatch.setattr(model, method, overtaken)

    return arrange


def course_of(course_id: str) -> Course:
    course = Course.find(course_id)
    assert course is not None
    return course


def test_edit_before_a_deletion_is_seen(owner: Caller, overtake: Callable[..., None]) -> None:
    course = create_course(owner)
    overtake(Course, "soft_delete", lambda: courses.update(owner, course.id, {"title": "Changed"}, None))

    with pytest.raises(PreconditionFailed):
        courses.delete(owner, course.id, frozenset({1}))
    assert course_of(course.id).title == "Changed"


def test_deletion_without_a_version_deletes_the_edited_course(owner: Caller, overtake: Callable[..., None]) -> None:
    course = create_course(owner, title="Knots")
    overtake(Course, "soft_delete", lambda: courses.update(owner, course.id, {"title": "Links"}, None))

    courses.delete(owner, course.id, None)

    assert Course.find(course.id) is None
    assert [courses.search(PageRequest(20), word).json for word in ("knots", "links")] == ["", ""]


def test_lesson_edits_of_different_fields_are_both_kept(owner: Caller, overtake: Callable[..., None]) -> None:
    lesson = lessons.create(owner, create_course(owner).id, LESSON)
    overtake(Lesson, "replace", lambda: lessons.update(owner, lesson.id, {"content": "By another"}, None))

    lessons.update(owner, lesson.id, {"title": "By this one"}, None)

    kept = Lesson.find(lesson.id)
    assert kept and (kept.title, kept.content, kept.version) == ("By this one", "By another", 3)


def test_second_deletion_of_a_lesson_is_not_found(owner: Caller, overtake: Callable[..., None]) -> None:
    course = create_course(owner)
    lesson, _ = lessons.create(owner, course.id, LESSON), lessons.create(owner, course.id, LESSON)
    overtake(Lesson, "delete_from", lambda: lessons.delete(owner, lesson.id, None))

    with pytest.raises(NotFound):
        lessons.delete(owner, lesson.id, None)
    assert course_of(course.id).lessons_count == 1


def test_lesson_is_not_added_to_a_course_deleted_meanwhile(owner: Caller, overtake: Callable[..., None]) -> None:
    course = create_course(owner)
    overtake(Lesson, "create", lambda: courses.delete(owner, course.id, None))

    with pytest.raises(InvalidInput):
        lessons.create(owner, course.id, LESSON)
    assert [*Lesson.scan()] == []


def test_lesson_of_a_course_deleted_meanwhile_is_not_found(owner: Caller, overtake: Callable[..., None]) -> None:
    course = create_course(owner)
    lesson = lessons.create(owner, course.id, LESSON)
    overtake(Lesson, "replace", lambda: courses.delete(owner, course.id, None))

    with pytest.raises(NotFound):
        lessons.update(owner, lesson.id, {"title": "Orphan"}, None)
    assert [row.title for row in Lesson.scan()] == ["A lesson"]


@pytest.mark.parametrize("write", ["create", "delete"])
def test_lists_are_invalidated_when_a_course_is_published_meanwhile(
    owner: Caller, overtake: Callable[..., None], monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    course = create_course(owner, is_published=False)
    lesson = lessons.create(owner, course.id, LESSON)
    invalidated: list[list[bool]] = []
    invalidate = course_cache.invalidating

    def note(*states: Course) -> Any:
        invalidated.append([course.is_published for course in states])
        return invalidate(*states)

    monkeypatch.setattr(course_cache, "invalidating", note)
    method = "create" if write == "create" else "delete_from"
    overtake(Lesson, method, lambda: courses.update(owner, course.id, {"is_published": True}, None))

    if write == "create":
        lessons.create(owner, course.id, LESSON)
    else:
        lessons.delete(owner, lesson.id, None)

    assert invalidated == [[False, False], [False, True], [True, True]]
    assert course_of(course.id).lessons_count == (2 if write == "create" else 0)


def test_erased_account_creates_no_course(owner: Caller) -> None:
    accounts.erase(owner)

    for is_published in (True, False):
        with pytest.raises(NotAuthenticated):
            create_course(owner, is_published=is_published)
    assert [*Course.scan()] == []


def test_lists_decide_by_the_course_and_not_by_its_row(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of a list can be older than the course."""
    published, draft, deleted = (create_course(owner) for _ in range(3))
    for course in (published, draft, deleted):
        lessons.create(owner, course.id, LESSON)
    Course(draft.id).update([Course.is_published.set(False)])
    Course(deleted.id).update([Course.deleted_at.set("now")])

    page = courses.list_courses(None, PageRequest(20), ordering="created_at", own=False)
    lesson_page = lesson_listing.list_lessons(None, PageRequest(20), None)

    assert course_ids(page) == [published.id]
    assert [lesson.id[:16] for lesson in lesson_page.items] == [published.id]


def test_update_of_a_course_that_changes_all_the_time_is_contention(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = create_course(owner)
    waits: list[float] = []
    monkeypatch.setattr("chalicelib.core.retries.time.sleep", waits.append)

    def stale(self: Course, old: Course, *others: Any) -> None:
        if len(waits) < 3:
            raise StaleRead

    monkeypatch.setattr(Course, "replace", stale)
    courses.update(owner, course.id, {"title": "At last"}, None)
    assert len(waits) == 3


def test_next_and_previous_page_at_one_position_differ(owner: Caller) -> None:
    made = [create_course(owner, START + timedelta(days=day)).id for day in range(5)][::-1]

    def ids(request: PageRequest) -> list[str]:
        page = courses.list_courses(None, request, ordering="-created_at", own=False)
        return course_ids(page)

    second = courses.list_courses(
        None,
        PageRequest(2, courses.list_courses(None, PageRequest(2), ordering="-created_at", own=False).next_cursor),
        ordering="-created_at",
        own=False,
    )
    assert course_ids(second) == made[2:4]
    assert ids(PageRequest(2, second.previous_cursor)) == made[:2]
    assert ids(PageRequest(2, second.next_cursor)) == made[4:]
