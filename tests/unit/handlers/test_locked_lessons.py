"""Lessons for the enrolled: who gets their content, whatever the cache has."""

from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.lessons import Lesson
from chalicelib.services import courses, enrollments, lessons, users
from tests.factories import create_course, create_user
from tests.fault_injection.valkey import Valkey
from tests.unit.handlers.conftest import ApiClient, ApiResponse

ENROLLED: dict[str, Any] = {"lessons_for": "enrolled"}
EVERYONE: dict[str, Any] = {"lessons_for": "everyone"}
READERS = ("owner", "admin", "enrolled")
OTHERS = ("anonymous", "student", "waiting", "rival")


class School:
    """A course of two lessons for the enrolled, and who reads them."""

    def __init__(self, http: ApiClient) -> None:
        self.http = http
        self.owner = create_user(Role.INSTRUCTOR)
        self.people: dict[str, Caller | None] = {
            "anonymous": None,
            "owner": self.owner,
            "admin": create_user(Role.ADMIN),
            "rival": create_user(Role.INSTRUCTOR),
        } | {name: create_user(Role.STUDENT) for name in ("student", "enrolled", "waiting")}
        self.course = create_course(self.owner, **ENROLLED)
        self.lessons = [add_lesson(self.owner, self.course, f"Secret {number}") for number in range(2)]
        self.path = f"/lessons/{self.lessons[0].id}"
        self.lists = [f"/lessons?course={self.course.id}", "/lessons"]
        self.enrollment = self.enroll("enrolled")
        # A student on a waitlist: the row is in no list of enrollments.
        self.enroll("waiting").update([Enrollment.sort_key.remove()])

    def enroll(self, who: str) -> Enrollment:
        caller = self.people[who]
        assert caller is not None
        return enrollments.enroll(caller, self.course.id)

    def get(self, who: str, path: str, **headers: str) -> ApiResponse:
        return self.http.call("GET", path, self.people[who], **headers)

    def assert_readable(self, who: str) -> None:
        """Assert that a caller gets all lessons as those for everyone."""
        first, second = (shown(lesson) for lesson in self.lessons)
        alone = self.get(who, self.path)
        assert (alone.status, alone.json) == (200, first), who
        for path in self.lists:
            assert self.get(who, path).json["results"] == [first, second], (who, path)

    def assert_locked(self, who: str) -> None:
        """Assert that a caller gets the lessons without content in lists, and 403 for a single one."""
        locked = [shown(lesson) | {"locked": True} for lesson in self.lessons]
        for lesson in locked:
            del lesson["content"]
        alone = self.get(who, self.path)
        assert (alone.status, [(error["field"], error["code"]) for error in alone.json["errors"]]) == (
            403,
            [("course", "not_enrolled")],
        ), who
        assert b"Secret" not in alone.body
        for path in self.lists:
            assert self.get(who, path).json["results"] == locked, (who, path)


def add_lesson(teacher: Caller, course: Course, content: str = "Secret") -> Lesson:
    fields = {"title": "A lesson", "content": content, "duration_min": 5, "order_index": 1}
    return lessons.create(teacher, course.id, fields)


def shown(lesson: Lesson) -> dict[str, Any]:
    """Return a lesson as its readers get it."""
    return {
        "id": lesson.id,
        "course": lesson.course,
        "title": lesson.title,
        "content": lesson.content,
        "duration_min": lesson.duration_min,
        "order_index": lesson.order_index,
    }


@pytest.fixture
def school(valkey: Valkey, http: ApiClient) -> School:
    return School(http)


@pytest.mark.parametrize("first", READERS + OTHERS)
def test_content_is_for_the_enrolled_owner_and_admins(school: School, valkey: Valkey, first: str) -> None:
    """Whoever reads first, and fills the cache."""
    valkey.client.flushall()

    for who in (first, *READERS, *OTHERS):
        (school.assert_readable if who in READERS else school.assert_locked)(who)

    assert school.get(first, school.lists[0]).headers["x-cache"] == "hit"


def test_content_without_a_cache_is_for_the_same(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.adapters.cache.client.is_enabled", lambda: False)

    for who in READERS:
        school.assert_readable(who)
    for who in OTHERS:
        school.assert_locked(who)


@pytest.mark.parametrize("who", OTHERS)
def test_valid_etag_of_a_locked_lesson_is_403(school: School, who: str) -> None:
    tag = school.get("enrolled", school.path).headers["etag"]
    assert school.get("enrolled", school.path, if_none_match=tag).status == 304

    responses = [school.get(who, school.path, if_none_match=value) for value in (tag, "*")]

    assert [response.status for response in responses] == [403, 403]
    assert not {"etag", "x-cache"} & {name for response in responses for name in response.headers}
    assert {response.headers["cache-control"] for response in responses} == {"no-store"}


def test_enrolling_and_leaving_apply_at_once(school: School) -> None:
    school.assert_locked("student")

    enrollment = school.enroll("student")
    school.assert_readable("student")

    assert school.http.call("DELETE", f"/enrollments/{enrollment.id}", school.people["student"]).status == 204
    school.assert_locked("student")


def test_student_who_became_instructor_is_locked_out(school: School) -> None:
    admin, student = school.people["admin"], school.people["enrolled"]
    assert admin is not None and student is not None

    users.update(admin, student.id, {"role": Role.INSTRUCTOR})

    school.people["enrolled"] = Caller(student.id, student.username, Role.INSTRUCTOR, student.session_id)
    school.assert_locked("enrolled")


def test_changed_audience_applies_to_cached_lessons(school: School) -> None:
    for fields in (EVERYONE, ENROLLED, EVERYONE):
        for who in READERS + OTHERS:  # fills the cache
            for path in (school.path, *school.lists):
                school.get(who, path)
        assert school.get("student", school.lists[0]).headers["x-cache"] == "hit"

        courses.update(school.owner, school.course.id, fields, None)

        for who in OTHERS:
            (school.assert_readable if fields == EVERYONE else school.assert_locked)(who)


def test_locked_draft_is_hidden_from_the_enrolled(school: School) -> None:
    school.assert_readable("enrolled")

    courses.update(school.owner, school.course.id, {"is_published": False}, None)

    for who in ("enrolled", *OTHERS):
        assert school.get(who, school.path).status == 404
        assert [school.get(who, path).json["results"] for path in school.lists] == [[], []]
    for who in ("owner", "admin"):
        school.assert_readable(who)


@pytest.mark.parametrize(
    ("who", "reads"), [("student", ["BatchGetItem"]), ("anonymous", []), ("rival", []), ("owner", []), ("admin", [])]
)
def test_cached_lessons_cost_students_one_read(
    school: School, dynamodb_calls: list[str], who: str, reads: list[str]
) -> None:
    for path in (school.path, school.lists[0]):
        school.get("admin", path)
        dynamodb_calls.clear()

        school.get(who, path)

        assert dynamodb_calls == reads


def test_list_across_courses_reads_enrollments_at_once(school: School, dynamodb_calls: list[str]) -> None:
    locked, public = create_course(school.owner, **ENROLLED), create_course(school.owner)
    for course in (locked, public):
        add_lesson(school.owner, course)
    dynamodb_calls.clear()

    results = school.get("enrolled", "/lessons").json["results"]

    assert [(lesson["course"], "content" in lesson, "locked" in lesson) for lesson in results] == [
        (public.id, True, False),
        (locked.id, False, True),
        *[(school.course.id, True, False)] * 2,
    ]
    calls = [*dynamodb_calls]
    dynamodb_calls.clear()
    school.get("anonymous", "/lessons")
    assert sorted(calls) == sorted([*dynamodb_calls, "BatchGetItem"])


def test_replay_to_a_former_admin_has_no_content(school: School) -> None:
    former, other = create_user(Role.ADMIN), school.people["admin"]
    assert other is not None
    body = {"course": school.course.id, "title": "A lesson", "content": "Secret"}

    def create(caller: Caller) -> ApiResponse:
        return school.http.call("POST", "/lessons", caller, body, idempotency_key="key")

    assert [create(former).status, create(former).json["content"]] == [201, "Secret"]

    users.update(other, former.id, {"role": Role.INSTRUCTOR})

    replayed = create(Caller(former.id, former.username, Role.INSTRUCTOR, former.session_id))
    assert (replayed.status, b"Secret" in replayed.body) == (410, False)
