from typing import Any

import pytest

from tests.clients import Actor, Api, register
from tests.e2e.apis import EACH_API
from tests.e2e.pages import walk

pytestmark = pytest.mark.contract


def makes_lesson(teacher: Actor, course: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = teacher.post("/lessons/", {"course": course["id"], "title": "A lesson"} | fields)
    assert response.status_code == 201, response.text
    lesson: dict[str, Any] = response.json()
    return lesson


@EACH_API
def test_created_lesson_is_readable_by_all(teacher: Actor, anonymous: Actor, api: Api) -> None:
    course = teacher.create_course()

    made = teacher.post("/lessons/", {"course": course["id"], "title": " Vectors ", "content": "Arrows"})
    lesson = made.json()

    assert made.status_code == 201
    assert made.headers["Location"] == f"{api.url}/api/v1/lessons/{lesson['id']}/"
    assert lesson == {
        "id": lesson["id"],
        "course": course["id"],
        "title": "Vectors",
        "content": "Arrows",
        "duration_min": 5,
        "order_index": 1,
    }
    assert anonymous.get(made.headers["Location"]).json() == lesson
    assert anonymous.get(f"/lessons/?course={course['id']}").json()["results"] == [lesson]
    assert lesson in anonymous.get("/lessons/").json()["results"]
    assert anonymous.get(f"/courses/{course['id']}/").json()["lessons_count"] == 1


@EACH_API
def test_lesson_put_patch_delete_use_etags(teacher: Actor, anonymous: Actor, api: Api) -> None:
    course = teacher.create_course()
    lesson = makes_lesson(teacher, course, content="Old", order_index=3)
    path = f"/lessons/{lesson['id']}/"
    tag = anonymous.get(path).headers["ETag"]

    assert anonymous.get(path, headers={"If-None-Match": tag}).status_code == 304
    patched = teacher.call("PATCH", path, json={"duration_min": 45}, headers={"If-Match": tag})
    assert patched.json() == lesson | {"duration_min": 45}
    put = teacher.call("PUT", path, json={"title": "New"})
    assert put.json() == lesson | {"title": "New", "content": "", "duration_min": 5, "order_index": 1}
    assert teacher.call("DELETE", path, headers={"If-Match": tag}).status_code == 412
    assert teacher.call("DELETE", path).status_code == 204
    assert [teacher.call(method, path, json={"title": "New"}).status_code for method in ("GET", "PUT", "DELETE")] == [
        404
    ] * 3
    assert anonymous.get(f"/courses/{course['id']}/").json()["lessons_count"] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "ab"),
        ("title", "x" * 201),
        ("content", "x" * 50_001),
        ("duration_min", 0),
        ("duration_min", 2_147_483_648),
        ("duration_min", "long"),
        ("order_index", -1),
        ("order_index", 1.5),
        ("course", "nope"),
        ("course", None),
    ],
)
def test_invalid_fields_are_named(teacher: Actor, field: str, value: object) -> None:
    course = teacher.create_course()

    response = teacher.post("/lessons/", {"course": course["id"], "title": "Fine", field: value})

    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]


@EACH_API
def test_lesson_cannot_be_moved(teacher: Actor, api: Api) -> None:
    course, other = teacher.create_course(), teacher.create_course()
    path = f"/lessons/{makes_lesson(teacher, course)['id']}/"

    assert teacher.call("PATCH", path, json={"course": other["id"]}).status_code == 400
    assert teacher.call("PUT", path, json={"title": "New", "course": other["id"]}).status_code == 400
    assert teacher.call("PUT", path, json={"title": "New", "course": course["id"]}).status_code == 200


@EACH_API
def test_lessons_of_a_draft_are_not_visible(
    teacher: Actor, student: Actor, admin: Actor, anonymous: Actor, api: Api
) -> None:
    rival = Actor(api, token=register(api, "instructor").token)
    course, draft = teacher.create_course(), teacher.create_course(is_published=False)
    lesson, secret = makes_lesson(teacher, course), makes_lesson(teacher, draft)

    for other in (rival, student):
        assert other.call("PATCH", f"/lessons/{lesson['id']}/", json={"title": "Mine"}).status_code == 403
        assert other.call("DELETE", f"/lessons/{secret['id']}/").status_code == 404
    assert rival.post("/lessons/", {"course": course["id"], "title": "Mine"}).status_code == 403
    assert rival.post("/lessons/", {"course": draft["id"], "title": "Mine"}).status_code == 400
    assert student.post("/lessons/", {"course": course["id"], "title": "Mine"}).status_code == 403
    for other in (rival, student, anonymous):
        assert other.get(f"/lessons/{secret['id']}/").status_code == 404
        assert other.get(f"/lessons/?course={draft['id']}").json()["results"] == []
        assert secret not in other.get("/lessons/?limit=100").json()["results"]
    for allowed in (teacher, admin):
        assert allowed.get(f"/lessons/{secret['id']}/").json() == secret
        assert secret in allowed.get("/lessons/?limit=100").json()["results"]


def test_pages_of_long_lessons_are_cut_and_lead_on(teacher: Actor, anonymous: Actor) -> None:
    """A response of Lambda has at most 6 MB. Each of these lessons has 300 KB of JSON."""
    course = teacher.create_course()
    made = [makes_lesson(teacher, course, content="é" * 50_000, order_index=number)["id"] for number in range(1, 21)]

    forward, back = walk(anonymous, f"/lessons/?course={course['id']}&limit=100")
    newest = anonymous.get("/lessons/?limit=100").json()
    following = anonymous.get(newest["next"]).json()
    returned = anonymous.get(following["previous"]).json()

    for pages in (forward, back):
        assert [lesson for page in pages for lesson in page] == made
        assert 3 <= len(pages) <= 4
    for page, expected in ((newest, made[:8]), (following, made[8:16]), (returned, made[:8])):
        assert [lesson["id"] for lesson in page["results"]] == expected


@EACH_API
def test_lessons_for_the_enrolled_are_locked_for_others(
    teacher: Actor, student: Actor, admin: Actor, anonymous: Actor, api: Api
) -> None:
    rival, fellow = (Actor(api, token=register(api, role).token) for role in ("instructor", "student"))
    course = teacher.create_course(lessons_for="enrolled")
    lesson = makes_lesson(teacher, course, content="Secret")
    path, lists = f"/lessons/{lesson['id']}/", (f"/lessons/?course={course['id']}", "/lessons/?limit=100")
    locked = {name: value for name, value in lesson.items() if name != "content"} | {"locked": True}
    enrollment = student.enroll_in(course)
    others = (fellow, rival, anonymous)

    for readers in ((*others, teacher, admin, student), (student, admin, teacher, *others)):
        # A write, so that the first of the readers loads the cache.
        written = teacher.call("PATCH", path, json={"duration_min": lesson["duration_min"] + 1})
        lesson["duration_min"] = locked["duration_min"] = written.json()["duration_min"]
        tag = written.headers["ETag"]
        for reader in readers:
            expected = locked if reader in others else lesson
            assert reader.get(lists[0]).json()["results"] == [expected]
            assert expected in reader.get(lists[1]).json()["results"]
            alone, conditional = reader.get(path), reader.get(path, headers={"If-None-Match": tag})
            if reader in others:
                assert alone.status_code == conditional.status_code == 403
                assert [(one["field"], one["code"]) for one in alone.json()["errors"]] == [("course", "not_enrolled")]
                assert "X-Cache" not in alone.headers and "ETag" not in alone.headers
            else:
                assert (alone.json(), conditional.status_code) == (lesson, 304)

    assert student.call("DELETE", f"/enrollments/{enrollment['id']}/").status_code == 204
    assert student.get(path, headers={"If-None-Match": tag}).status_code == 403
    assert student.get(lists[0]).json()["results"] == [locked]
    assert teacher.call("PATCH", f"/courses/{course['id']}/", json={"lessons_for": "everyone"}).status_code == 200
    assert anonymous.get(lists[0]).json()["results"] == [lesson]
    assert anonymous.get(path).json() == lesson
