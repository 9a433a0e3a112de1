from typing import Any

import pytest

from chalicelib.core import ids
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Forbidden, NotFound, PreconditionFailed
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.models import course_listings
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.models.users import User
from chalicelib.services import accounts, courses
from tests.factories import course_ids, create_course, create_user


@pytest.fixture
def teacher(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


def rows() -> set[tuple[str, str]]:
    """Who is in which list."""
    return {(str(row.listing), row.course_id) for row in CourseListing.scan()}


def expected(course: Course) -> set[tuple[str, str]]:
    return {(str(row.listing), course.id) for row in course_listings.listing_rows(course)}


def found(text: str) -> list[str]:
    return course_ids(courses.search(PageRequest(20), text))


def published_courses(caller: Caller) -> int:
    user = User.find(caller.id)
    assert user is not None
    return int(user.published_courses)


def test_new_course_is_in_all_its_listings(teacher: Caller) -> None:
    course = create_course(teacher, title="Élan vital", description="the élan, again")

    lists = ["all", "published", f"owner#{teacher.id}"]
    words = ["elan", "vital", "the", "again"]
    names = [f"{name}#{order}" for name in lists for order in ("date", "price")] + [f"keyword#{word}" for word in words]
    assert rows() == {(name, course.id) for name in names}
    assert published_courses(teacher) == 1


def test_draft_is_in_no_public_listing(teacher: Caller) -> None:
    create_course(teacher, is_published=False)

    owned = f"owner#{teacher.id}"
    assert {name for name, _ in rows()} == {"all#date", "all#price", f"{owned}#date", f"{owned}#price"}
    assert published_courses(teacher) == 0


def test_largest_course_fits_into_its_transactions(teacher: Caller) -> None:
    text = [" ".join(f"{letter}{number}" for number in range(500)) for letter in "ab"]
    course = create_course(teacher, description=text[0])

    assert len(course_listings.listing_rows(course)) == 6 + 60
    for fields in (
        {"description": text[1], "price_cents": 1},
        {"is_published": False},
        {"is_published": True, "description": text[0]},
    ):
        course = courses.update(teacher, course.id, fields, None)
        assert rows() == expected(course)
    courses.delete(teacher, course.id, None)
    assert rows() == set()


def test_course_update_keeps_other_fields_and_bumps_version(teacher: Caller) -> None:
    course = create_course(teacher, description="Kept")

    changed = courses.update(teacher, course.id, {"title": "Another title"}, frozenset({1}))
    same = courses.update(teacher, course.id, {"title": "Another title"}, None)

    assert (changed.title, changed.description, changed.version) == ("Another title", "Kept", 2)
    assert changed.updated_at > course.updated_at
    assert same.version == 2
    with pytest.raises(PreconditionFailed):
        courses.update(teacher, course.id, {"title": "A third"}, frozenset({1}))


def test_concurrently_changed_course_is_read_again(teacher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    course = create_course(teacher)
    write = Course._save
    raced: list[bool] = []

    def write_after_another(new: Course, old: Course | None, *others: Any) -> None:
        if not raced:
            raced.append(True)
            courses.update(teacher, course.id, {"description": "by another"}, None)
        write(new, old, *others)

    monkeypatch.setattr(Course, "_save", write_after_another)
    courses.update(teacher, course.id, {"title": "By this one"}, None)

    after = Course.find(course.id)
    assert after is not None
    assert (after.title, after.description, after.version) == ("By this one", "by another", 3)
    assert rows() == expected(after)


def test_owner_counts_published_courses(teacher: Caller) -> None:
    course = create_course(teacher, is_published=False)

    counts = []
    for fields in ({"is_published": True}, {"title": "Still there"}, {"is_published": False}, {"is_published": True}):
        courses.update(teacher, course.id, fields, None)
        counts.append(published_courses(teacher))
    courses.delete(teacher, course.id, None)

    assert [*counts, published_courses(teacher)] == [1, 1, 0, 1, 0]


def test_search_matches_all_whole_words(teacher: Caller) -> None:
    knots = create_course(teacher, title="Knots and Links", description="Zürich")
    links = create_course(teacher, title="Broken links")
    create_course(teacher, title="Secret links", is_published=False)

    assert found("LINKS") == [links.id, knots.id]
    assert found("links zurich") == [knots.id]
    assert found("link") == found("knots broken") == found("...") == []
    courses.update(teacher, knots.id, {"title": "Only knots"}, None)
    assert found("links") == [links.id]


def test_stale_keyword_row_finds_nothing(teacher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    course = create_course(teacher, title="Knots and links")
    monkeypatch.setattr(Course, "_delete_stale_keywords", lambda course: None)  # the process died before this

    courses.update(teacher, course.id, {"title": "Only knots"}, None)

    assert ("keyword#links", course.id) in rows()
    assert found("links") == []


def test_instructor_lists_published_courses_and_own_drafts(teacher: Caller) -> None:
    rival = create_user(Role.INSTRUCTOR)
    made = [create_course(owner, is_published=published) for owner in (teacher, rival) for published in (True, False)]
    mine, my_draft, theirs, their_draft = (course.id for course in made)

    def seen(visitor: Caller | None, limit: int) -> list[str]:
        page = courses.list_courses(visitor, PageRequest(limit), ordering="created_at", own=False)
        ids = course_ids(page)
        while page.next_cursor:
            page = courses.list_courses(visitor, PageRequest(limit, page.next_cursor), ordering="created_at", own=False)
            ids += course_ids(page)
        return ids

    for limit in (1, 2, 20):
        assert seen(teacher, limit) == [mine, my_draft, theirs]
        assert seen(None, limit) == seen(create_user(Role.STUDENT), limit) == [mine, theirs]
        assert seen(create_user(Role.ADMIN), limit) == [mine, my_draft, theirs, their_draft]


def test_page_of_long_descriptions_is_trimmed(teacher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.core.pagination.MAX_PAGE_BYTES", 2_500)
    ids = [create_course(teacher, description="x" * 1_000).id for _ in range(5)][::-1]

    page = courses.list_courses(None, PageRequest(100), ordering="-created_at", own=False)
    assert course_ids(page) == ids[:2]
    following = courses.list_courses(None, PageRequest(100, page.next_cursor), ordering="-created_at", own=False)
    assert course_ids(following) == ids[2:4]
    backward = courses.list_courses(
        None, PageRequest(100, following.previous_cursor), ordering="-created_at", own=False
    )
    assert course_ids(backward) == ids[:2]


def test_draft_of_an_erased_owner_cannot_be_published(teacher: Caller) -> None:
    draft = create_course(teacher, is_published=False)
    accounts.erase(teacher)

    with pytest.raises(NotFound):
        courses.update(create_user(Role.ADMIN), draft.id, {"is_published": True}, None)


def test_search_beyond_the_keyword_limit_finds_nothing(teacher: Caller) -> None:
    text = " ".join(f"w{number}" for number in range(60))
    course = create_course(teacher, title="w0", description=text)

    assert found(text) == [course.id]
    assert found(text + " zebra") == []


def test_student_cannot_create_a_course(aws: None) -> None:
    with pytest.raises(Forbidden):
        create_course(create_user(Role.STUDENT))


def test_draft_is_not_found_by_others(teacher: Caller) -> None:
    draft = create_course(teacher, is_published=False)
    rival, student, admin = create_user(Role.INSTRUCTOR), create_user(Role.STUDENT), create_user(Role.ADMIN)

    assert courses.get(teacher, draft.id).id == courses.get(admin, draft.id).id == draft.id
    for visitor in (rival, student, None):
        with pytest.raises(NotFound):
            courses.get(visitor, draft.id)
    with pytest.raises(NotFound):
        courses.update(rival, draft.id, {"title": "Mine now"}, None)
    with pytest.raises(NotFound):
        courses.delete(student, draft.id, None)


def test_deleted_course_is_not_found(teacher: Caller) -> None:
    course = create_course(teacher)

    courses.delete(teacher, course.id, None)

    for _ in range(2):
        with pytest.raises(NotFound):
            courses.delete(teacher, course.id, None)
    assert course_ids(courses.list_courses(teacher, PageRequest(20), ordering="-created_at", own=True)) == []


def test_keywords_are_the_first_60_distinct_words() -> None:
    assert course_listings.keywords("Über die Über-Straße", "ÜBER Köln") == ["uber", "die", "strasse", "koln"]
    assert len(course_listings.keywords(" ".join(f"w{n}" for n in range(100)))) == 60
    assert course_listings.keywords("x" * 200) == ["x" * 64]
    assert course_listings.keywords("𝐀bc ABC हिन्दी") == ["abc", "हिनदी"]


def test_enrollment_id_contains_student_and_course() -> None:
    student, course, suffix = ids.new_id(), ids.new_id(), ids.new_suffix()

    assert ids.parse_enrollment_id(ids.enrollment_id(student, course, suffix)) == (student, course, suffix)
    assert ids.parse_enrollment_id("nope") is None
    assert ids.parse_enrollment_id("é" * 40) is None
    assert len({ids.new_id() for _ in range(1000)}) == 1000
