"""Lists of the services as callers walk them: by pages of every size, forward and backward."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.lessons import Lesson
from chalicelib.services import courses, enrollments, lesson_listing, lessons, rendered_text
from chalicelib.services.rendering import RenderedCoursePage
from tests.factories import course_ids, create_course, create_user
from tests.pages import Fetch, assert_walk

LESSON: dict[str, Any] = {"title": "A lesson", "content": "", "duration_min": 5}


@pytest.fixture
def admin(aws: None) -> Caller:
    return create_user(Role.ADMIN)


def test_enrollments_by_student_and_course(admin: Caller) -> None:
    ada, bob, owner = create_user(Role.STUDENT), create_user(Role.STUDENT), create_user(Role.INSTRUCTOR)
    made = [create_course(owner) for _ in range(4)]
    of_ada = [enrollments.enroll(ada, course.id, clock.now()).id for course in made][::-1]
    of_bob = [enrollments.enroll(bob, course.id, clock.now()).id for course in made[:2]][::-1]

    def of(caller: Caller, **filters: str | None) -> Fetch:
        options: dict[str, Any] = {"course": None, "student": None} | filters
        return lambda request: enrollments.list_enrollments(caller, request, **options)

    for caller in (admin, owner):
        assert_walk(of(caller), of_bob + of_ada)
        assert_walk(of(caller, student=ada.id), of_ada)
        assert_walk(of(caller, course=made[0].id), [of_bob[1], of_ada[3]])
        assert_walk(of(caller, course=made[0].id, student=ada.id), [of_ada[3]])
        assert_walk(of(caller, student=""), [])
        assert_walk(of(caller, course=made[0].id, student=""), [])
        assert_walk(of(caller, course="", student=ada.id), [])
        assert_walk(of(caller, course=made[3].id, student=bob.id), [])
    assert_walk(of(ada), of_ada)
    assert_walk(of(bob, student=bob.id), of_bob)
    assert_walk(of(bob, student=ada.id), [])
    assert_walk(of(bob, student=""), [])
    assert_walk(of(bob, course=made[1].id), [of_bob[0]])


@pytest.fixture
def shelf(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Courses, newest first, with the IDs of their lessons; two courses are read for a page."""
    monkeypatch.setattr(lesson_listing, "MAX_COURSES_PER_PAGE", 2)
    made: list[list[str]] = []
    for count in (3, 0, 1, 0, 0, 2):
        course = create_course(admin)
        made.insert(0, [lessons.create(admin, course.id, LESSON | {"order_index": n}).id for n in range(count)])
    return made


def test_lessons_across_courses(shelf: list[list[str]]) -> None:
    everything = [lesson for course in shelf for lesson in course]

    assert_walk(lambda request: lesson_listing.list_lessons(None, request, None), everything)


def test_page_of_lessons_reads_no_more_courses_and_lessons_than_needed(
    shelf: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int]] = []
    page_keys = Lesson.page_keys

    def note(course: str, **options: Any) -> list[tuple[str, str]]:
        read.append((course, options["limit"]))
        return page_keys(course, **options)

    monkeypatch.setattr(Lesson, "page_keys", note)
    first = lesson_listing.list_lessons(None, PageRequest(1), None)
    assert [(first.items[0].id.startswith(course), limit) for course, limit in read] == [(True, 2)]
    read.clear()
    lesson_listing.list_lessons(None, PageRequest(1, first.next_cursor), None)
    assert [limit for _, limit in read] == [2, 2], "the rest of the course, and the next one at the same time"


def test_lessons_of_many_short_courses(admin: Caller) -> None:
    """More courses than are read ahead, and than are read at the same time after that."""
    made: list[str] = []
    for number in range(18):
        course = create_course(admin, is_published=number != 7)
        if number % 4:
            made.insert(0, lessons.create(admin, course.id, LESSON | {"order_index": 1}).id)

    assert_walk(lambda request: lesson_listing.list_lessons(admin, request, None), made, (1, 4, 5, 20))
    del made[-6]  # of the draft
    assert_walk(lambda request: lesson_listing.list_lessons(None, request, None), made, (1, 4, 5, 20))


def test_lessons_deleted_after_their_course_was_read_hide_no_others(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    courses_made = [create_course(admin) for _ in range(3)]
    made = {c.id: [lessons.create(admin, c.id, LESSON | {"order_index": 1}).id for _ in range(3)] for c in courses_made}
    find_all = Course.find_all

    def find_and_count_more(course_ids: list[str]) -> dict[str, Course]:
        found = find_all(course_ids)
        for course in found.values():
            course.lessons_count += 2  # as before two were deleted
        return found

    monkeypatch.setattr(Course, "find_all", find_and_count_more)
    monkeypatch.setattr(lesson_listing, "MAX_THREADS", 0)

    for limit in (1, 4, 5, 20):
        page, ids = lesson_listing.list_lessons(None, PageRequest(limit), None), list[str]()
        ids += [lesson.id for lesson in page.items]
        while page.next_cursor:
            page = lesson_listing.list_lessons(None, PageRequest(limit, page.next_cursor), None)
            ids += [lesson.id for lesson in page.items]
        assert ids == [lesson for course in courses_made[::-1] for lesson in made[course.id]]


def test_lessons_of_a_course_that_was_unpublished_after_its_key_was_read_are_not_shown(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    courses_made = [create_course(admin) for _ in range(3)]
    made = [lessons.create(admin, course.id, LESSON | {"order_index": 1}).id for course in courses_made]
    find_all, hidden = Course.find_all, courses_made[1].id

    def find_and_hide(course_ids: list[str]) -> dict[str, Course]:
        found = find_all(course_ids)
        found[hidden].is_published = False
        return found

    monkeypatch.setattr(Course, "find_all", find_and_hide)

    page = lesson_listing.list_lessons(None, PageRequest(20), None)

    assert [lesson.id for lesson in page.items] == [made[2], made[0]]


def test_deleted_lesson_is_skipped(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was deleted after its key was read."""
    course = create_course(admin)
    made = [lessons.create(admin, course.id, LESSON | {"order_index": number}).id for number in range(3)]
    find_all = Lesson.find_all
    monkeypatch.setattr(
        Lesson, "find_all", lambda keys: {key: row for key, row in find_all(keys).items() if row.id != made[0]}
    )

    page = lesson_listing.list_lessons(None, PageRequest(100), course.id)

    assert [lesson.id for lesson in page.items] == made[1:]


def test_trimmed_pages_of_lessons_lead_on_and_back(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.core.pagination.MAX_PAGE_BYTES", 2 * 1_002)
    course = create_course(admin)
    made = [
        lessons.create(admin, course.id, LESSON | {"order_index": number, "content": "x" * 1_000}).id
        for number in range(5)
    ]

    for course_id in (course.id, None):
        pages = [lesson_listing.list_lessons(None, PageRequest(100), course_id)]
        while pages[-1].next_cursor:
            pages.append(lesson_listing.list_lessons(None, PageRequest(100, pages[-1].next_cursor), course_id))
        assert [[lesson.id for lesson in page.items] for page in pages] == [made[:2], made[2:4], made[4:]]
        back = lesson_listing.list_lessons(None, PageRequest(100, pages[-1].previous_cursor), course_id)
        assert [lesson.id for lesson in back.items] == made[2:4]
        assert back.next_cursor is not None and back.previous_cursor is not None


def test_own_lessons_of_a_draft(admin: Caller) -> None:
    owner = create_user(Role.INSTRUCTOR)
    draft = create_course(owner, is_published=False)
    made = [lessons.create(owner, draft.id, LESSON | {"order_index": number}).id for number in range(3)]

    for caller, expected in ((owner, made), (admin, made), (None, []), (create_user(Role.INSTRUCTOR), [])):
        assert_walk(lambda request, caller=caller: lesson_listing.list_lessons(caller, request, None), expected)  # type: ignore[misc]
        assert_walk(lambda request, caller=caller: lesson_listing.list_lessons(caller, request, draft.id), expected)  # type: ignore[misc]


def test_courses_and_searches_in_pages(admin: Caller) -> None:
    made = [create_course(admin, title=f"Knots {number}", price_cents=number).id for number in range(5)]

    for ordering, expected in (
        ("created_at", made),
        ("-created_at", made[::-1]),
        ("price", made),
        ("-price", made[::-1]),
    ):
        for caller in (admin, None):
            assert_walk(
                lambda request, o=ordering, c=caller: courses.list_courses(c, request, ordering=o, own=False),  # type: ignore[misc]
                expected,
            )
        assert_walk(
            lambda request, o=ordering: courses.list_courses(admin, request, ordering=o, own=True),  # type: ignore[misc]
            expected,
        )
    assert_walk(lambda request: courses.search(request, "knots"), made[::-1])
    titles = ["Knots and links", "Links", "Links and knots", "Knots", "Links, not knots"]
    both = [create_course(admin, title=title).id for title in titles][::2]
    assert_walk(lambda request: courses.search(request, "links knots"), both[::-1])


def test_cached_page_is_the_page(admin: Caller) -> None:
    for number in range(5):
        create_course(admin, title=f"Knots {number}")
    first = courses.list_courses(None, PageRequest(2), ordering="price", own=False)
    page = courses.list_courses(None, PageRequest(2, first.next_cursor), ordering="price", own=False)

    cached = rendered_text.page_from_text(rendered_text.page_to_text(page))

    assert cached == page
    assert cached.next_cursor and cached.previous_cursor and len(course_ids(cached)) == 2


def test_page_of_lists_is_cached_by_list_limit_and_cursor(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()

    def note(entry: Any, load: Callable[[], RenderedCoursePage]) -> RenderedCoursePage:
        assert entry.scope == "courses"
        names.add(entry.name)
        return load()

    for _ in range(3):
        create_course(admin)
    monkeypatch.setattr("chalicelib.adapters.cache.read_through.get_or_load", note)
    first = courses.list_courses(None, PageRequest(1), ordering="price", own=False)
    second = courses.list_courses(None, PageRequest(1, first.next_cursor), ordering="price", own=False)
    requests = [
        PageRequest(1),
        PageRequest(2),
        *(PageRequest(1, cursor) for cursor in (second.next_cursor, second.previous_cursor)),
    ]
    names.clear()
    for ordering in ("price", "-price"):
        for request in requests:
            courses.list_courses(None, request, ordering=ordering, own=False)
    for request in requests:
        courses.search(request, "a title")
        courses.search(request, "title a")

    assert len(names) == 12
