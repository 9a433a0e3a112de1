"""/lessons in this process: order, visibility, conditional requests and errors."""

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from tests.factories import create_course, create_user
from tests.unit.handlers.conftest import HOST, ApiClient


@pytest.fixture
def owner(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


def test_lessons_are_sorted_by_order_index(http: ApiClient, owner: Caller) -> None:
    course = create_course(owner)
    for index in (2, 1, 3):
        http.call("POST", "/lessons/", owner, {"course": course.id, "title": f"No {index}", "order_index": index})

    page = http.call("GET", f"/lessons/?course={course.id}&limit=2").json
    rest = http.call("GET", page["next"].partition(HOST)[2]).json

    assert [lesson["title"] for lesson in page["results"] + rest["results"]] == ["No 1", "No 2", "No 3"]
    assert http.call("GET", f"/courses/{course.id}/").json["lessons_count"] == 3


def test_lesson_is_replaced_updated_and_deleted(http: ApiClient, owner: Caller) -> None:
    course = create_course(owner)
    fields = {"course": course.id, "title": "The trefoil", "content": "Three crossings.", "duration_min": 20}
    created = http.call("POST", "/lessons/", owner, fields)
    url = created.headers["location"].partition(HOST)[2]

    patched = http.call("PATCH", url, owner, {"title": "The unknot"}).json
    replaced = http.call("PUT", url, owner, {"title": "The unknot"}).json
    deleted = http.call("DELETE", url, owner).status

    assert (created.status, created.json["duration_min"]) == (201, 20)
    assert (patched["title"], patched["content"]) == ("The unknot", "Three crossings.")
    assert (replaced["content"], replaced["course"]) == ("", course.id)
    assert (deleted, http.call("GET", url, owner).status) == (204, 404)
    assert http.call("GET", f"/courses/{course.id}/").json["lessons_count"] == 0


def test_lesson_of_a_draft_is_hidden(http: ApiClient, owner: Caller) -> None:
    course = create_course(owner, is_published=False)
    lesson = http.call("POST", "/lessons/", owner, {"course": course.id, "title": "One"}).json

    assert http.call("GET", f"/lessons/{lesson['id']}/").status == 404
    assert http.call("GET", "/lessons/").json["results"] == []
    assert http.call("GET", f"/lessons/{lesson['id']}/", owner).status == 200


def test_unchanged_lesson_is_304_and_old_etag_412(http: ApiClient, owner: Caller) -> None:
    course = create_course(owner)
    lesson = http.call("POST", "/lessons/", owner, {"course": course.id, "title": "One"}).json
    url = f"/lessons/{lesson['id']}/"
    etag = http.call("GET", url).headers["etag"]

    assert http.call("GET", url, If_None_Match=etag).status == 304
    assert http.call("PATCH", url, owner, {"title": "Two"}, If_Match=etag).status == 200
    assert http.call("PATCH", url, owner, {"title": "Three"}, If_Match=etag).status == 412


def test_lesson_of_an_unknown_course_is_rejected(http: ApiClient, owner: Caller) -> None:
    response = http.call("POST", "/lessons/", owner, {"course": "0" * 16, "title": "One"})

    assert response.status == 400
    assert "course" in response.body.decode()
